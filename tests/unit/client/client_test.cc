#include "client/client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/frame.h"
#include "tests/unit/client/call_results.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/tcp_pair.h"

namespace evpool {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// --- Replies to requests

TEST(Client, gives_the_reply_to_the_request) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", kPatient);
  const Frame request = pair.server.receive();
  EXPECT_EQ(request.header.id, id);
  pair.server.reply(request, "HELLO");
  expect_ok(pair.client.wait(id), "HELLO");
}

TEST(Client, call_sends_and_waits) {
  Pair pair;
  auto served = std::async(std::launch::async, [&] {
    const Frame request = pair.server.receive();
    pair.server.reply(request, request.name + " of " + request.payload);
  });
  expect_ok(pair.client.call("upper", "hello", kPatient), "upper of hello");
  served.get();
}

TEST(Client, an_empty_reply_is_ok) {
  Pair pair;
  const auto id = pair.client.send("upper", "", kPatient);
  pair.server.reply(pair.server.receive(), "");
  expect_ok(pair.client.wait(id), "");
}

TEST(Client, hands_over_every_status_with_its_message) {
  Pair pair;
  for (std::uint8_t code = 0; code < kStatusCount; ++code) {
    const auto status = static_cast<Status>(code);
    const auto id = pair.client.send("upper", "hello", kPatient);
    pair.server.reply(pair.server.receive().header.id, status, name_of(status));
    const CallResult result = pair.client.wait(id);
    EXPECT_EQ(result.state, CallState::replied);
    EXPECT_EQ(result.status, status);
    EXPECT_EQ(result.ok(), status == Status::ok);
    EXPECT_EQ(result.payload, name_of(status));
  }
}

TEST(Client, takes_replies_in_any_order) {
  Pair pair;
  const auto first = pair.client.send("upper", "a", kPatient);
  const auto second = pair.client.send("upper", "b", kPatient);
  const auto third = pair.client.send("upper", "c", kPatient);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pair.server.receive().name, "upper");
  pair.server.reply(third, Status::ok, "C");
  pair.server.reply(first, Status::ok, "A");
  pair.server.reply(second, Status::ok, "B");
  expect_ok(pair.client.wait(first), "A");
  expect_ok(pair.client.wait(second), "B");
  expect_ok(pair.client.wait(third), "C");
}

TEST(Client, waits_for_the_second_before_the_first) {
  Pair pair;
  const auto first = pair.client.send("upper", "a", kPatient);
  const auto second = pair.client.send("upper", "b", kPatient);
  pair.server.reply(second, Status::ok, "B");
  expect_ok(pair.client.wait(second), "B");
  pair.server.reply(first, Status::ok, "A");
  expect_ok(pair.client.wait(first), "A");
}

TEST(Client, keeps_many_requests_in_flight) {
  constexpr std::size_t kRequests = 1'000;
  Pair pair;
  std::vector<std::pair<Client::RequestId, std::string>> sent;
  for (std::size_t i = 0; i < kRequests; ++i) {
    const std::string payload = std::to_string(i);
    sent.emplace_back(pair.client.send("upper", payload, kPatient), payload);
  }
  std::vector<Frame> requests;
  for (std::size_t i = 0; i < kRequests; ++i) requests.push_back(pair.server.receive());

  std::mt19937 random(1);
  std::shuffle(requests.begin(), requests.end(), random);
  std::shuffle(sent.begin(), sent.end(), random);
  for (const Frame& request : requests) pair.server.reply(request, request.payload);
  for (const auto& [id, payload] : sent) expect_ok(pair.client.wait(id), payload);
}

TEST(Client, puts_a_reply_together_that_comes_byte_by_byte) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", kPatient);
  const std::string reply =
      FakeServer::make_reply(pair.server.receive().header.id, Status::ok, "HELLO");
  for (const char byte : reply) {
    EXPECT_FALSE(pair.client.ready(id));
    pair.server.send({&byte, 1});
    // While it waits for this one, the client takes in the byte.
    const auto other = pair.client.send("upper", "other", {.timeout = 1ms});
    EXPECT_EQ(pair.client.wait(other).state, CallState::timed_out);
  }
  expect_ok(pair.client.wait(id), "HELLO");
}

TEST(Client, carries_large_payloads_both_ways) {
  Pair pair;
  const std::string large = random_bytes(std::size_t{8} << 20U);
  // The server replies when it has read all: what does not fit the sockets stays with the client.
  auto served = std::async(std::launch::async, [&] {
    Frame request = pair.server.receive();
    std::reverse(request.payload.begin(), request.payload.end());
    pair.server.reply(request, request.payload);
  });
  const CallResult result = pair.client.call("reverse", large, kPatient);
  served.get();
  EXPECT_TRUE(result.ok());
  EXPECT_TRUE(
      std::equal(result.payload.begin(), result.payload.end(), large.rbegin(), large.rend()));
}

TEST(Client, is_ready_when_the_reply_is_there) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", kPatient);
  const Frame request = pair.server.receive();
  EXPECT_FALSE(pair.client.ready(id));
  pair.server.reply(request, "HELLO");
  EXPECT_TRUE(becomes_ready(pair.client, id));
  expect_ok(pair.client.wait(id), "HELLO");
}

TEST(Client, is_ready_when_the_server_is_gone) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", kPatient);
  pair.server.receive();
  pair.server.close();
  EXPECT_TRUE(becomes_ready(pair.client, id));
  EXPECT_EQ(pair.client.wait(id).state, CallState::connection_lost);
}

TEST(Client, is_ready_when_the_timeout_is_over) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", {.timeout = 0ms});
  EXPECT_TRUE(pair.client.ready(id));
  EXPECT_EQ(pair.client.wait(id).state, CallState::timed_out);
}

// --- What is no reply to a request of ours

TEST(Client, passes_over_a_reply_with_an_unknown_id) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", kPatient);
  pair.server.reply(id + 1, Status::ok, "of nobody");
  pair.server.reply(id - 1, Status::failed, "of nobody");
  pair.server.reply(id, Status::ok, "HELLO");
  expect_ok(pair.client.wait(id), "HELLO");
  // The id of the first of them is that of the next request.
  const auto next = pair.client.send("upper", "next", kPatient);
  pair.server.reply(next, Status::ok, "NEXT");
  expect_ok(pair.client.wait(next), "NEXT");
}

TEST(Client, passes_over_a_second_reply) {
  Pair pair;
  const auto first = pair.client.send("upper", "a", kPatient);
  const auto second = pair.client.send("upper", "b", kPatient);
  pair.server.reply(first, Status::ok, "A");
  pair.server.reply(first, Status::failed, "A again");
  pair.server.reply(second, Status::ok, "B");
  expect_ok(pair.client.wait(second), "B");
  expect_ok(pair.client.wait(first), "A");
}

TEST(Client, passes_over_frames_that_are_no_answers) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", kPatient);
  std::string request;
  append_request(id, "upper", "from the server", 1000, Priority::normal, request);
  pair.server.send(request);
  std::string ping;
  append_header({.type = FrameType::ping, .id = id}, ping);
  pair.server.send(ping);
  pair.server.reply(id, Status::ok, "HELLO");
  expect_ok(pair.client.wait(id), "HELLO");
}

TEST(Client, a_pong_is_no_reply) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", kPatient);
  pair.server.send(make_pong(id));
  pair.server.reply(id, Status::ok, "HELLO");
  expect_ok(pair.client.wait(id), "HELLO");
}

TEST(Client, a_reply_is_no_pong) {
  Pair pair;
  auto served = std::async(std::launch::async, [&] {
    const Frame ping = pair.server.receive();
    pair.server.reply(ping.header.id, Status::failed, "not a pong");
    pair.server.send(make_pong(ping.header.id));
  });
  expect_ok(pair.client.ping(kPatience), "");
  served.get();
}

TEST(Client, a_peer_that_speaks_another_protocol_ends_all_requests_at_once) {
  std::string unknown_version = FakeServer::make_reply(1, Status::ok, "");
  unknown_version[3] = 2;
  std::string reserved_flag = FakeServer::make_reply(1, Status::ok, "");
  reserved_flag[5] = 1;
  const std::map<std::string, FrameError> answers = {
      {"HTTP/1.1 400 Bad Request\r\n\r\n", FrameError::bad_magic},
      {"?", FrameError::bad_magic},
      {std::string(100, '\0'), FrameError::bad_magic},
      {unknown_version, FrameError::bad_version},
      {reserved_flag, FrameError::bad_flags},
  };
  for (const auto& [bytes, error] : answers) {
    SCOPED_TRACE(explain(error));
    Pair pair;
    const auto begin = Clock::now();
    const auto first = pair.client.send("upper", "a", kPatient);
    const auto second = pair.client.send("upper", "b", kPatient);
    pair.server.send(bytes);
    for (const auto id : {second, first}) {
      const CallResult result = pair.client.wait(id);
      EXPECT_EQ(result.state, CallState::protocol_error);
      EXPECT_EQ(result.payload, name_of(pair.server) + " does not speak evpool's protocol: " +
                                    std::string(explain(error)));
    }
    EXPECT_FALSE(pair.client.call("upper", "later", kPatient).ok());
    EXPECT_LT(Clock::now() - begin, kPatience / 2);
  }
}

TEST(Client, closes_the_connection_to_a_peer_that_speaks_another_protocol) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", kPatient);
  pair.server.receive();
  pair.server.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_EQ(pair.client.wait(id).state, CallState::protocol_error);
  EXPECT_TRUE(pair.server.hears_the_end(1s));
}

TEST(Client, a_reply_over_the_limit_is_too_large_and_the_next_one_is_read) {
  Pair pair({.max_reply_bytes = 100});
  const auto at_limit = pair.client.send("upper", "a", kPatient);
  const auto over = pair.client.send("upper", "b", kPatient);
  const auto far_over = pair.client.send("upper", "c", kPatient);
  const auto next = pair.client.send("upper", "d", kPatient);
  pair.server.reply(at_limit, Status::ok, std::string(100, 'A'));
  pair.server.reply(over, Status::ok, std::string(101, 'B'));
  // More than is received at a time.
  pair.server.reply(far_over, Status::ok, std::string(100'000, 'C'));
  pair.server.reply(next, Status::ok, "D");
  expect_ok(pair.client.wait(at_limit), std::string(100, 'A'));
  for (const auto& [id, bytes] : {std::pair(over, "101"), std::pair(far_over, "100000")}) {
    const CallResult result = pair.client.wait(id);
    EXPECT_EQ(result.state, CallState::replied);
    EXPECT_EQ(result.status, Status::too_large);
    EXPECT_NE(result.payload.find(bytes), std::string::npos) << result.payload;
  }
  expect_ok(pair.client.wait(next), "D");
}

// --- A server that goes away

using Goodbye = void (*)(FakeServer&, Client::RequestId);

void expect_all_lost_after(Goodbye goodbye) {
  Pair pair;
  const auto begin = Clock::now();
  const auto first = pair.client.send("upper", "a", kPatient);
  const auto second = pair.client.send("upper", "b", kPatient);
  const auto third = pair.client.send("upper", "c", kPatient);
  for (int i = 0; i < 3; ++i) pair.server.receive();
  goodbye(pair.server, second);

  const std::string lost = "lost " + name_of(pair.server) + ": ";
  const auto expect_lost = [&](const CallResult& result) {
    EXPECT_EQ(result.state, CallState::connection_lost);
    EXPECT_FALSE(result.ok());
    EXPECT_TRUE(result.payload.starts_with(lost) && result.payload.size() > lost.size())
        << result.payload;
  };
  for (const auto id : {second, first, third}) expect_lost(pair.client.wait(id));
  expect_lost(pair.client.call("upper", "later", kPatient));
  expect_lost(pair.client.call("upper", std::string(std::size_t{1} << 20U, 'x'), kPatient));
  expect_lost(pair.client.ping(kPatience));
  EXPECT_LT(Clock::now() - begin, kPatience / 2);
}

TEST(Client, ends_all_requests_at_once_when_the_server_closes) {
  expect_all_lost_after([](FakeServer& server, Client::RequestId) { server.close(); });
}

TEST(Client, ends_all_requests_at_once_when_the_server_dies) {
  expect_all_lost_after([](FakeServer& server, Client::RequestId) { server.reset(); });
}

TEST(Client, ends_all_requests_at_once_when_the_server_closes_inside_a_header) {
  expect_all_lost_after([](FakeServer& server, Client::RequestId id) {
    server.send(FakeServer::make_reply(id, Status::ok, "hello").substr(0, kFrameHeaderBytes - 1));
    server.close();
  });
}

TEST(Client, ends_all_requests_at_once_when_the_server_closes_inside_a_payload) {
  expect_all_lost_after([](FakeServer& server, Client::RequestId id) {
    server.send(FakeServer::make_reply(id, Status::ok, std::string(50'000, 'x')).substr(0, 40'000));
    server.close();
  });
}

TEST(Client, gives_the_replies_that_came_before_the_server_closed) {
  Pair pair;
  const auto first = pair.client.send("upper", "a", kPatient);
  const auto second = pair.client.send("upper", "b", kPatient);
  const auto third = pair.client.send("upper", "c", kPatient);
  for (int i = 0; i < 3; ++i) pair.server.receive();
  pair.server.reply(third, Status::ok, "C");
  pair.server.reply(first, Status::ok, "A");
  pair.server.close();
  EXPECT_EQ(pair.client.wait(second).state, CallState::connection_lost);
  expect_ok(pair.client.wait(first), "A");
  expect_ok(pair.client.wait(third), "C");
}

TEST(Client, a_send_that_the_server_cuts_short_ends_with_connection_lost) {
  Pair pair;
  auto served = std::async(std::launch::async, [&] {
    EXPECT_FALSE(pair.server.hears_nothing(kPatience));
    pair.server.reset();
  });
  // More than the sockets hold, so that send() is blocked when the server goes.
  const auto begin = Clock::now();
  const auto id = pair.client.send("upper", std::string(std::size_t{32} << 20U, 'x'), kPatient);
  EXPECT_EQ(pair.client.wait(id).state, CallState::connection_lost);
  EXPECT_LT(Clock::now() - begin, kPatience / 2);
  served.get();
}

// --- What goes over the wire

TEST(Client, the_frame_carries_what_was_asked_for) {
  Pair pair;
  for (const Priority priority : {Priority::low, Priority::normal, Priority::high}) {
    const std::string payload("\x00\xF6\n", 3);
    const auto id = pair.client.send("resize", payload, {.timeout = 1'234ms, .priority = priority});
    const Frame frame = pair.server.receive();
    EXPECT_EQ(frame.header.type, FrameType::request);
    EXPECT_EQ(frame.header.id, id);
    EXPECT_EQ(frame.header.timeout_ms, 1'234U);
    EXPECT_EQ(frame.header.priority, priority);
    EXPECT_EQ(frame.name, "resize");
    EXPECT_EQ(frame.payload, payload);
  }
}

TEST(Client, the_frame_always_carries_a_timeout) {
  Pair pair;
  const std::map<std::chrono::milliseconds, std::uint32_t> timeouts = {
      {-5ms, 1}, {0ms, 1}, {1ms, 1}, {4'294'967'295ms, UINT32_MAX}, {4'294'967'296ms, UINT32_MAX}};
  for (const auto& [timeout, on_the_wire] : timeouts) {
    static_cast<void>(pair.client.send("upper", "", {.timeout = timeout}));
    EXPECT_EQ(pair.server.receive().header.timeout_ms, on_the_wire) << timeout.count();
  }
}

TEST(Client, a_job_name_has_1_to_255_bytes) {
  Pair pair;
  EXPECT_THROW(static_cast<void>(pair.client.send("", "hello")), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(pair.client.send(std::string(256, 'n'), "hello")),
               std::invalid_argument);
  EXPECT_THROW(static_cast<void>(pair.client.call(std::string(100'000, 'n'), "hello")),
               std::invalid_argument);
  // None of them was sent.
  for (const std::size_t bytes : {1U, 255U}) {
    const std::string name(bytes, 'n');
    const auto id = pair.client.send(name, "hello", kPatient);
    const Frame request = pair.server.receive();
    EXPECT_EQ(request.name, name);
    EXPECT_EQ(request.payload, "hello");
    pair.server.reply(request, "ok");
    expect_ok(pair.client.wait(id), "ok");
  }
}

TEST(Client, no_two_clients_use_the_same_ids) {
  Pair one;
  Pair other;
  EXPECT_NE(one.client.send("upper", ""), other.client.send("upper", ""));
}

// --- Ping

TEST(Client, a_ping_is_answered_by_a_pong) {
  Pair pair;
  auto served = std::async(std::launch::async, [&] {
    const Frame ping = pair.server.receive();
    EXPECT_EQ(ping.header.type, FrameType::ping);
    std::string pong;
    append_header({.type = FrameType::pong, .id = ping.header.id}, pong);
    pair.server.send(pong);
  });
  expect_ok(pair.client.ping(kPatience), "");
  served.get();
}

TEST(Client, a_ping_that_is_not_answered_times_out) {
  Pair pair;
  const auto begin = Clock::now();
  EXPECT_EQ(pair.client.ping(50ms).state, CallState::timed_out);
  EXPECT_GE(Clock::now() - begin, 50ms);
}

TEST(Client, a_ping_leaves_the_requests_in_flight_alone) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", kPatient);
  auto served = std::async(std::launch::async, [&] {
    const Frame request = pair.server.receive();
    const Frame ping = pair.server.receive();
    pair.server.reply(request, "HELLO");
    std::string pong;
    append_header({.type = FrameType::pong, .id = ping.header.id}, pong);
    pair.server.send(pong);
  });
  expect_ok(pair.client.ping(kPatience), "");
  expect_ok(pair.client.wait(id), "HELLO");
  served.get();
}

// --- Moving

TEST(Client, a_moved_client_goes_on_with_the_requests_in_flight) {
  FakeServer server;
  Client original(server.address());
  server.accept();
  const auto before = original.send("upper", "before", kPatient);
  Client constructed(std::move(original));
  server.reply(before, Status::ok, "BEFORE");
  expect_ok(constructed.wait(before), "BEFORE");

  FakeServer other_server;
  Client assigned(other_server.address());
  other_server.accept();
  const auto between = constructed.send("upper", "between", kPatient);
  assigned = std::move(constructed);
  EXPECT_TRUE(other_server.hears_the_end(kPatience));
  const auto after = assigned.send("upper", "after", kPatient);
  server.reply(after, Status::ok, "AFTER");
  server.reply(between, Status::ok, "BETWEEN");
  expect_ok(assigned.wait(between), "BETWEEN");
  expect_ok(assigned.wait(after), "AFTER");
}

TEST(Client, closes_the_connection_at_its_end) {
  FakeServer server;
  {
    const Client client(server.address());
    server.accept();
  }
  EXPECT_TRUE(server.hears_the_end(kPatience));
}

// --- Misuse

TEST(ClientDeathTest, an_id_is_waited_for_once) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", {.timeout = 0ms});
  EXPECT_EQ(pair.client.wait(id).state, CallState::timed_out);
  EXPECT_DEATH(static_cast<void>(pair.client.wait(id)), "wait\\(\\) takes an id of send\\(\\)");
}

}  // namespace
}  // namespace evpool
