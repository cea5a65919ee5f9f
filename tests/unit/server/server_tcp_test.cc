// The server over TCP, with peers of the tests' own.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tests/peer.h"
#include "tests/unit/server/running_server.h"

namespace evpool {
namespace {

TEST(ServerTcp, answers_a_frame) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(42, "upper", "hello"));
  const Frame reply = peer.receive_frame();
  EXPECT_EQ(reply.header.type, FrameType::reply);
  EXPECT_EQ(reply.header.id, 42U);
  EXPECT_EQ(reply.header.status, Status::ok);
  EXPECT_EQ(reply.payload, "HELLO");
  const Statistics counts = server.drain().statistics;
  EXPECT_EQ(counts.received, 1U);
  EXPECT_EQ(counts.completed, 1U);
}

TEST(ServerTcp, answers_frames_that_come_byte_by_byte) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  for (const char byte : request_frame(1, "upper", "slow") + request_frame(2, "echo", "er")) {
    peer.send({&byte, 1});
  }
  std::set<std::string> payloads = {peer.receive_frame().payload, peer.receive_frame().payload};
  EXPECT_EQ(payloads, (std::set<std::string>{"SLOW", "er"}));
}

TEST(ServerTcp, answers_every_one_of_many_frames_in_one_packet) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  std::string frames;
  std::set<std::uint64_t> ids;
  for (std::uint64_t id = 0; id < 1000; ++id) {
    frames += request_frame(id, "echo", std::to_string(id));
    ids.insert(id);
  }
  peer.send(frames);
  for (int i = 0; i < 1000; ++i) {
    const Frame reply = peer.receive_frame();
    EXPECT_EQ(reply.payload, std::to_string(reply.header.id));
    EXPECT_EQ(ids.erase(reply.header.id), 1U) << "answered twice, or never asked";
  }
  EXPECT_TRUE(ids.empty());
}

TEST(ServerTcp, a_slow_job_holds_up_no_other) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "hold", "late") + request_frame(2, "echo", "early"));
  EXPECT_EQ(peer.receive_frame().header.id, 2U);
  server.gate.open();
  EXPECT_EQ(peer.receive_frame().header.id, 1U);
}

TEST(ServerTcp, answers_a_payload_at_the_limit_and_refuses_one_byte_more) {
  ServerOptions options = local_options();
  options.max_payload_bytes = 1 << 20;
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  const std::string largest(options.max_payload_bytes, 'a');
  peer.send(request_frame(1, "upper", largest));
  EXPECT_EQ(peer.receive_frame().payload, std::string(largest.size(), 'A'));
  peer.send(request_frame(2, "upper", largest + "a") + request_frame(3, "upper", "next"));
  std::map<std::uint64_t, Frame> replies;
  for (int i = 0; i < 2; ++i) {
    Frame reply = peer.receive_frame();
    replies[reply.header.id] = reply;
  }
  EXPECT_EQ(replies[2].header.status, Status::too_large);
  EXPECT_EQ(replies[3].payload, "NEXT");
}

TEST(ServerTcp, large_payloads_one_after_the_other_share_the_memory_of_one) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  const std::string payload(std::size_t{1} << 20U, 'x');
  const std::string request = request_frame(1, "remember", payload);
  std::string reply(kFrameHeaderBytes + payload.size(), '\0');
  for (int i = 0; i < 500; ++i) {
    peer.send(request);  // at once when the last reply is there
    ASSERT_EQ(peer.receive_exactly(std::span<char>(reply)), reply.size());
  }
  EXPECT_EQ(reply.substr(kFrameHeaderBytes), payload);
  EXPECT_EQ(server.payloads_at().size(), 1U);
}

TEST(ServerTcp, answers_nonsense_and_closes) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send("\xF6 this is no frame at all, and more follows it");
  const Frame reply = peer.receive_frame();
  EXPECT_EQ(reply.header.status, Status::bad_request);
  EXPECT_EQ(reply.header.id, 0U);
  EXPECT_EQ(peer.receive_to_end(), "");
}

TEST(ServerTcp, answers_what_came_before_nonsense_first) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "hold", "good") + "nonsense instead of a frame");
  EXPECT_EQ(peer.receive_frame().header.status, Status::bad_request);
  server.gate.open();
  EXPECT_EQ(peer.receive_frame().payload, "good");
  EXPECT_EQ(peer.receive_to_end(), "");
}

TEST(ServerTcp, a_frame_cut_short_by_the_end_is_no_request) {
  for (std::size_t length = 0; length < request_frame(1, "upper", "hello").size(); ++length) {
    RunningServer server;
    Peer peer = Peer::tcp(server.tcp());
    peer.send(request_frame(1, "upper", "hello").substr(0, length));
    peer.end_output();
    EXPECT_EQ(peer.receive_to_end(), "") << length;
    EXPECT_EQ(server.drain().statistics.received, 0U);
  }
}

TEST(ServerTcp, a_handlers_exception_is_a_failed_reply) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "throw", ""));
  const Frame reply = peer.receive_frame();
  EXPECT_EQ(reply.header.status, Status::failed);
  EXPECT_EQ(reply.payload, "thrown");
  peer.send(request_frame(2, "throw_int", ""));
  EXPECT_EQ(peer.receive_frame().header.status, Status::failed);
  EXPECT_EQ(server.drain().statistics.failed, 2U);
}

TEST(ServerTcp, an_unknown_job_is_not_found_with_a_suggestion) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "uper", ""));
  const Frame reply = peer.receive_frame();
  EXPECT_EQ(reply.header.status, Status::not_found);
  EXPECT_EQ(reply.payload, "no job 'uper' (did you mean 'upper'?)");
}

TEST(ServerTcp, a_ping_is_answered_though_every_worker_is_busy) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "hold", "") + request_frame(2, "hold", ""));
  std::string ping;
  append_header({.type = FrameType::ping, .id = 3}, ping);
  peer.send(ping);
  const Frame pong = peer.receive_frame();
  EXPECT_EQ(pong.header.type, FrameType::pong);
  EXPECT_EQ(pong.header.id, 3U);
  server.gate.open(2);
  peer.receive_frame();
  peer.receive_frame();
  EXPECT_EQ(server.drain().statistics.pings, 1U);
}

TEST(ServerTcp, a_full_queue_is_answered_busy) {
  ServerOptions options = local_options();
  options.workers = 1;
  options.queue_tasks = 1;
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "hold", ""));
  server.gate.wait_until_entered();
  peer.send(request_frame(2, "echo", "waits") + request_frame(3, "echo", "too many"));
  const Frame busy = peer.receive_frame();
  EXPECT_EQ(busy.header.id, 3U);
  EXPECT_EQ(busy.header.status, Status::busy);
  server.gate.open();
  EXPECT_EQ(peer.receive_frame().header.id, 1U);
  EXPECT_EQ(peer.receive_frame().payload, "waits");
  EXPECT_EQ(server.drain().statistics.refused, 1U);
}

TEST(ServerTcp, waiting_jobs_of_higher_priority_go_first_and_have_room_of_their_own) {
  ServerOptions options = local_options();
  options.workers = 1;
  options.queue_tasks = 8;
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "hold", ""));
  server.gate.wait_until_entered();
  std::string waiting;
  for (std::uint64_t id = 10; id < 19; ++id)
    append_request(id, "echo", "", 0, Priority::low, waiting);
  for (std::uint64_t id = 20; id < 28; ++id)
    append_request(id, "echo", "", 0, Priority::high, waiting);
  peer.send(waiting);
  const Frame busy = peer.receive_frame();
  EXPECT_EQ(busy.header.id, 18U) << "the ninth low one";
  EXPECT_EQ(busy.header.status, Status::busy);
  server.gate.open();
  EXPECT_EQ(peer.receive_frame().header.id, 1U);
  int high_among_first = 0;
  for (int reply = 0; reply < 16; ++reply) {
    const bool is_high = peer.receive_frame().header.id >= 20;
    if (reply < 8 && is_high) ++high_among_first;
  }
  // One of 16 may be a low one, so that they do not starve.
  EXPECT_GE(high_among_first, 7);
  EXPECT_EQ(server.drain().statistics.completed, 17U);
}

TEST(ServerTcp, a_connection_with_too_much_in_flight_is_answered_busy) {
  ServerOptions options = local_options();
  options.max_in_flight_per_connection = 2;
  RunningServer server(options);
  Peer greedy = Peer::tcp(server.tcp());
  greedy.send(request_frame(1, "hold", "") + request_frame(2, "hold", "") +
              request_frame(3, "echo", ""));
  const Frame busy = greedy.receive_frame();
  EXPECT_EQ(busy.header.id, 3U);
  EXPECT_EQ(busy.header.status, Status::busy);
  server.gate.open(2);
  greedy.receive_frame();
  greedy.receive_frame();
  greedy.send(request_frame(4, "echo", ""));
  EXPECT_EQ(greedy.receive_frame().header.status, Status::ok);
}

TEST(ServerTcp, a_request_that_waits_past_its_deadline_is_answered_expired) {
  ServerOptions options = local_options();
  options.workers = 1;
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "hold", ""));
  server.gate.wait_until_entered();
  const auto sent_at = Clock::now();
  peer.send(request_frame(2, "echo", "", 1));
  server.wait_for([](const Statistics& counts) { return counts.received == 2; });
  while (Clock::now() < sent_at + std::chrono::milliseconds(20)) std::this_thread::yield();
  server.gate.open();
  EXPECT_EQ(peer.receive_frame().header.id, 1U);
  EXPECT_EQ(peer.receive_frame().header.status, Status::expired);
  EXPECT_EQ(server.drain().statistics.expired, 1U);
}

TEST(ServerTcp, replies_still_come_after_the_peer_has_ended_its_output) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "hold", "patience"));
  peer.end_output();
  server.gate.wait_until_entered();
  server.gate.open();
  EXPECT_EQ(peer.receive_frame().payload, "patience");
  EXPECT_EQ(peer.receive_to_end(), "");
}

TEST(ServerTcp, a_peer_that_is_gone_before_the_reply_does_no_harm) {
  RunningServer server;
  for (int round = 0; round < 20; ++round) {
    Peer gone = Peer::tcp(server.tcp());
    gone.send(request_frame(1, "hold", std::string(100'000, 'x')));
    server.gate.wait_until_entered();
    round % 2 == 0 ? gone.reset() : gone.close();
    server.gate.open();
  }
  server.wait_for([](const Statistics& counts) { return counts.completed == 20; });
  Peer alive = Peer::tcp(server.tcp());
  alive.send(request_frame(1, "echo", "still here"));
  EXPECT_EQ(alive.receive_frame().payload, "still here");
}

TEST(ServerTcp, what_waits_for_a_peer_that_is_gone_is_cancelled_unrun) {
  ServerOptions options = local_options();
  options.workers = 1;
  RunningServer server(options);
  Peer gone = Peer::tcp(server.tcp());
  gone.send(request_frame(1, "hold", "") + request_frame(2, "hold", "") +
            request_frame(3, "hold", ""));
  server.gate.wait_until_entered();
  server.wait_for([](const Statistics& counts) { return counts.received == 3; });
  gone.reset();
  server.wait_for([](const Statistics& counts) { return counts.connections_open == 0; });
  server.gate.open();
  const Statistics counts = server.drain().statistics;
  EXPECT_EQ(counts.completed, 1U);
  EXPECT_EQ(counts.cancelled, 2U);
  EXPECT_EQ(counts.undelivered, 3U);
}

TEST(ServerTcp, a_peer_that_does_not_read_is_not_read_from_either) {
  ServerOptions options = local_options();
  options.max_output_bytes = 1 << 20;
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp(), 64 << 10);
  const std::string request = request_frame(1, "large", "1000000");
  constexpr int kRequests = 100;
  std::string unsent;
  for (int i = 0; i < kRequests; ++i) unsent += request;
  // One after another, each answered before the next, so that the server can know when to stop. It
  // has stopped when it takes nothing for a while; a while too short makes the test see less.
  std::uint64_t sent = 0;
  for (; sent < kRequests; ++sent) {
    peer.send(request);
    const auto patience = Clock::now() + std::chrono::milliseconds(500);
    while (server->statistics().received <= sent && Clock::now() < patience) {
      std::this_thread::yield();
    }
    if (server->statistics().received <= sent) break;
    server.wait_for([&](const Statistics& counts) { return counts.completed > sent; });
  }
  EXPECT_LT(sent, kRequests) << "100 MB of replies were taken in for a peer that reads nothing";
  peer.send(std::string_view(unsent).substr(0, (kRequests - sent - 1) * request.size()));
  for (int i = 0; i < kRequests; ++i) ASSERT_EQ(peer.receive_frame().payload.size(), 1'000'000U);
}

TEST(ServerTcp, a_peer_that_stalls_in_a_frame_or_does_not_read_its_reply_is_closed) {
  ServerOptions options = local_options();
  options.stall_timeout = std::chrono::milliseconds(100);
  RunningServer server(options);
  Peer half = Peer::tcp(server.tcp());
  half.send(request_frame(1, "upper", "hello").substr(0, 20));
  Peer deaf = Peer::tcp(server.tcp(), 4096);
  deaf.send(request_frame(1, "large", "20000000"));
  EXPECT_EQ(half.receive_to_end(true), "");
  server.wait_for([](const Statistics& counts) { return counts.connections_stalled == 2; });
  deaf.receive_to_end(true);
}

TEST(ServerTcp, a_peer_that_is_merely_idle_is_left_alone) {
  ServerOptions options = local_options();
  options.stall_timeout = std::chrono::milliseconds(50);
  RunningServer server(options);
  Peer idle = Peer::tcp(server.tcp());
  idle.send(request_frame(1, "echo", ""));
  idle.receive_frame();
  Peer stalling = Peer::tcp(server.tcp());
  stalling.send("\xF6");
  stalling.receive_to_end(true);  // so much time has passed
  idle.send(request_frame(2, "echo", "still here"));
  EXPECT_EQ(idle.receive_frame().payload, "still here");
}

TEST(ServerTcp, one_connection_too_many_is_told_so_in_its_own_tongue) {
  ServerOptions options = local_options();
  options.max_connections = 1;
  RunningServer server(options);
  Peer first = Peer::tcp(server.tcp());
  first.send(request_frame(1, "hold", "held"));  // not idle
  server.gate.wait_until_entered();
  Peer frames = Peer::tcp(server.tcp());
  frames.send(request_frame(7, "echo", ""));
  const Frame reply = frames.receive_frame();
  EXPECT_EQ(reply.header.id, 7U);
  EXPECT_EQ(reply.header.status, Status::busy);
  EXPECT_EQ(frames.receive_to_end(), "");
  Peer text = Peer::tcp(server.tcp());
  text.send("upper x\n");
  EXPECT_EQ(text.receive_to_end(), "ERR busy the server has too many connections\n");
  Peer pinging = Peer::tcp(server.tcp());
  std::string ping;
  append_header({.type = FrameType::ping, .id = 9}, ping);
  pinging.send(ping);
  EXPECT_EQ(pinging.receive_frame().header.type, FrameType::pong);
  EXPECT_EQ(pinging.receive_to_end(), "") << "or pings would keep it";
  server.gate.open();
  EXPECT_EQ(first.receive_frame().payload, "held");
  EXPECT_EQ(server.drain().statistics.connections_refused, 3U);
}

TEST(ServerTcp, text_lines_are_answered_in_their_order) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send("hold late\nupper early\nuper\r\n\nupper last");
  server.gate.wait_until_entered();
  server.wait_for([](const Statistics& counts) { return counts.completed == 1; });
  EXPECT_TRUE(peer.nothing_arrived()) << "the first line has not been answered yet";
  server.gate.open();
  EXPECT_EQ(peer.receive_line(), "late\n");
  EXPECT_EQ(peer.receive_line(), "EARLY\n");
  EXPECT_EQ(peer.receive_line(), "ERR not_found no job 'uper' (did you mean 'upper'?)\n");
  peer.end_output();
  EXPECT_EQ(peer.receive_line(), "LAST\n");
  EXPECT_EQ(peer.receive_to_end(), "");
}

TEST(ServerTcp, tls_is_told_that_it_is_not_spoken) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send(std::string_view("\x16\x03\x01\x02\x00\x01", 6));
  EXPECT_EQ(peer.receive_to_end(),
            "ERR bad_request neither a frame nor a line of text (TLS is not spoken here)\n");
}

TEST(ServerTcp, raw_chunks_are_answered_raw) {
  RunningServer server;
  Peer peer = Peer::tcp(server.raw());
  peer.send("hello");
  EXPECT_EQ(peer.receive_exactly(5), "HELLO");
  peer.send("again\n");
  EXPECT_EQ(peer.receive_exactly(6), "AGAIN\n");
  peer.end_output();
  EXPECT_EQ(peer.receive_to_end(), "");
}

}  // namespace
}  // namespace evpool
