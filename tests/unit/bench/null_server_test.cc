#include "bench/null_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/dialect.h"
#include "bench/load/generator.h"
#include "bench/plain_client.h"
#include "client/poll_until.h"
#include "client/transport.h"
#include "protocol/frame.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

// Far beyond what any step takes, on a slow machine too. No passing test waits for it.
constexpr std::chrono::milliseconds kPatience = 60s;

constexpr std::string_view kJob = "upper";
constexpr std::string_view kPayload = "abcxyz AZ `{ 0123456789 \x80\xE1\xFF";
constexpr std::string_view kUpperPayload = "ABCXYZ AZ `{ 0123456789 \x80\xE1\xFF";

constexpr NullServer::Requests kRequests = {.name_bytes = kJob.size(),
                                            .payload_bytes = kPayload.size()};

// Requests, or the replies that they deserve, with ids from `first_id` on.
std::string requests_from(std::uint64_t first_id, std::size_t count) {
  std::string bytes;
  for (std::uint64_t id = first_id; id < first_id + count; ++id) {
    append_request(id, kJob, kPayload, 1'000, Priority::high, bytes);
  }
  return bytes;
}
std::string replies_from(std::uint64_t first_id, std::size_t count) {
  std::string bytes;
  for (std::uint64_t id = first_id; id < first_id + count; ++id) {
    append_reply_header(id, Status::ok, kUpperPayload.size(), bytes);
    bytes += kUpperPayload;
  }
  return bytes;
}

// A connection that gives up after kPatience.
class Peer {
 public:
  explicit Peer(const NullServer& server) : socket_(server.address(), false, kPatience) {}

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      await(POLLOUT);
      const std::size_t sent = send_some(bytes);
      ASSERT_GT(sent, 0U);
      bytes.remove_prefix(sent);
    }
  }
  // What the kernel takes at once.
  std::size_t send_some(std::string_view bytes) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }
  // Fewer at the connection's end, or when patience is.
  std::string receive(std::size_t bytes) {
    std::string received(bytes, '\0');
    std::size_t received_bytes = 0;
    while (received_bytes < bytes && await(POLLIN)) {
      const ssize_t got = recv(socket_.get(), &received[received_bytes], bytes - received_bytes, 0);
      if (got <= 0) break;
      received_bytes += static_cast<std::size_t>(got);
    }
    received.resize(received_bytes);
    return received;
  }
  bool await(short events, std::chrono::milliseconds patience = kPatience) {
    pollfd waiting = {.fd = socket_.get(), .events = events, .revents = 0};
    return poll_until(waiting, std::chrono::steady_clock::now() + patience) > 0;
  }

 private:
  ClientSocket socket_;
};

TEST(NullServer, answers_requests_that_are_cut_anywhere) {
  NullServer server(kRequests);
  Peer peer(server);
  const std::string requests = requests_from(0x0102030405060708, 3);
  const std::string replies = replies_from(0x0102030405060708, 3);
  const std::size_t request_bytes = requests.size() / 3;
  const std::size_t reply_bytes = replies.size() / 3;
  for (std::size_t cut = request_bytes; cut < 2 * request_bytes; ++cut) {
    // The first one's reply tells that the server has read what was sent before the cut.
    peer.send(std::string_view(requests).substr(0, cut));
    std::string received = peer.receive(reply_bytes);
    peer.send(std::string_view(requests).substr(cut));
    received += peer.receive(replies.size() - reply_bytes);
    ASSERT_EQ(received, replies) << "cut at " << cut;
  }
}

TEST(NullServer, answers_requests_that_come_byte_by_byte) {
  NullServer server(kRequests);
  Peer peer(server);
  for (const char byte : requests_from(7, 3)) peer.send({&byte, 1});
  const std::string replies = replies_from(7, 3);
  EXPECT_EQ(peer.receive(replies.size()), replies);
}

// More than it reads at once, so that reads end inside requests.
TEST(NullServer, answers_a_large_depth) {
  constexpr std::size_t kRequestCount = 20'000;
  NullServer server(kRequests);
  Peer peer(server);
  const std::string requests = requests_from(1, kRequestCount);
  const std::string replies = replies_from(1, kRequestCount);
  std::string_view left = requests;
  std::string received;
  while (!left.empty()) {
    const std::size_t sent = peer.send_some(left);
    left.remove_prefix(sent);
    if (sent == 0) received += peer.receive(kFrameHeaderBytes);
  }
  received += peer.receive(replies.size() - received.size());
  EXPECT_EQ(received, replies);
}

// The client reads nothing until neither side's kernel takes more.
TEST(NullServer, keeps_the_replies_that_its_peer_does_not_take) {
  NullServer server;
  Peer peer(server);
  const std::string chunk(std::size_t{64} << 10U, 'q');
  std::size_t sent_bytes = 0;
  // The server may only be slow. Should the time be too short, the test shows less; it does not
  // fail.
  while (peer.await(POLLOUT, 50ms)) sent_bytes += peer.send_some(chunk);
  const std::string replies = peer.receive(sent_bytes);
  EXPECT_EQ(replies.size(), sent_bytes);
  EXPECT_EQ(replies.find_first_not_of('Q'), std::string::npos);
  peer.send("more");
  EXPECT_EQ(peer.receive(4), "MORE");
}

TEST(NullServer, answers_many_connections) {
  constexpr std::size_t kConnections = 200;
  NullServer server(kRequests);
  std::vector<std::unique_ptr<Peer>> peers;
  for (std::size_t i = 0; i < kConnections; ++i) {
    peers.push_back(std::make_unique<Peer>(server));
    peers.back()->send(requests_from(i, 3).substr(0, 100));
  }
  for (std::size_t i = 0; i < kConnections; ++i) {
    peers[i]->send(requests_from(i, 3).substr(100));
    const std::string replies = replies_from(i, 3);
    ASSERT_EQ(peers[i]->receive(replies.size()), replies) << "connection " << i;
  }
}

TEST(NullServer, closes_a_connection_that_sends_another_size) {
  NullServer server(kRequests);
  Peer wrong(server);
  std::string request;
  append_request(1, "UPPER", std::string(kPayload.size() + 1, 'a'), 0, Priority::normal, request);
  wrong.send(request);
  EXPECT_EQ(wrong.receive(1), "");
  Peer right(server);
  right.send(requests_from(1, 1));
  EXPECT_EQ(right.receive(replies_from(1, 1).size()), replies_from(1, 1));
}

TEST(NullServer, serves_others_after_a_connection_has_ended) {
  NullServer server;
  for (int i = 0; i < 20; ++i) {
    Peer peer(server);
    peer.send("again");
    ASSERT_EQ(peer.receive(5), "AGAIN");
  }
}

TEST(NullServer, knows_its_cpu_time) {
  NullServer server;
  const double before = server.cpu_seconds();
  Peer peer(server);
  peer.send("a");
  EXPECT_EQ(peer.receive(1), "A");
  EXPECT_GT(server.cpu_seconds(), before);
}

TEST(NullServer, gives_the_generator_right_replies_only) {
  LoadOptions load;
  load.connections = 5;
  load.in_flight = 64;
  load.warm_up = 0ms;
  load.count = 20'000;
  load.duration = kPatience;
  load.timeout = kPatience;
  NullServer frames({.name_bytes = load.mix.front().job.size(), .payload_bytes = 32});
  NullServer raw;
  RunControl control;
  load.server = frames.address();
  const LoadResult framed = run_load(load, *make_frame_dialect(), control);
  EXPECT_EQ(framed.account.ok, 20'000U);
  EXPECT_EQ(framed.account.sent, 20'000U);
  load.server = raw.address();
  const LoadResult bare = run_load(load, *make_raw_dialect(32), control);
  EXPECT_EQ(bare.account.ok, 20'000U);
  EXPECT_EQ(bare.account.sent, 20'000U);
}

TEST(PlainClient, counts_replies) {
  NullServer server;
  // More in flight than is sent at once.
  for (const std::size_t in_flight : {1U, 16U, 20'000U}) {
    const PlainClientResult result = run_plain_client({.server = server.address(),
                                                       .connections = 3,
                                                       .in_flight = in_flight,
                                                       .warm_up = 10ms,
                                                       .duration = 100ms});
    EXPECT_GT(result.replies_per_second, 0);
    EXPECT_GT(result.cpu_ns_per_reply, 0);
    EXPECT_GT(result.calls_per_reply, 0);
    EXPECT_LE(result.calls_per_reply, 3);  // a receive and a send; some waits are in vain
  }
}

}  // namespace
}  // namespace evpool::bench
