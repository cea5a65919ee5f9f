// Several I/O threads: every peer is served by one of them, and drains are complete.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/peer.h"
#include "tests/unit/server/running_server.h"

namespace evpool {
namespace {

ServerOptions three_io_threads() {
  ServerOptions options = local_options();
  options.io_threads = 3;
  return options;
}

TEST(IoThreads, serve_every_connection_and_every_datagram) {
  RunningServer server(three_io_threads());
  std::vector<Peer> peers;
  for (int i = 0; i < 12; ++i) {
    peers.push_back(i % 2 == 0 ? Peer::tcp(server.tcp()) : Peer::udp(server.udp()));
  }
  for (std::uint64_t round = 0; round < 20; ++round) {
    for (std::size_t i = 0; i < peers.size(); ++i) {
      peers[i].send(request_frame(round, "upper", "peer " + std::to_string(i)));
    }
    for (std::size_t i = 0; i < peers.size(); ++i) {
      Frame reply;
      if (i % 2 == 0) {
        reply = peers[i].receive_frame();
      } else {
        ASSERT_EQ(decode_datagram(peers[i].receive_datagram(), reply), FrameError::none);
      }
      EXPECT_EQ(reply.header.id, round);
      EXPECT_EQ(reply.payload, "PEER " + std::to_string(i));
    }
  }
  const Statistics counts = server.drain().statistics;
  EXPECT_EQ(counts.completed, 240U);
  EXPECT_EQ(counts.connections_accepted, 6U);
  EXPECT_EQ(counts.connections_open, 0U);
}

TEST(IoThreads, a_drain_waits_for_the_requests_of_all_of_them) {
  RunningServer server(three_io_threads());
  std::vector<Peer> peers;
  for (int i = 0; i < 3; ++i) peers.push_back(Peer::tcp(server.tcp()));
  for (Peer& peer : peers) peer.send(request_frame(1, "hold", "held"));
  server.wait_for([](const Statistics& counts) { return counts.received == 3; });
  server->drain();
  server.gate.open(3);
  for (Peer& peer : peers) {
    EXPECT_EQ(peer.receive_frame().payload, "held");
    EXPECT_EQ(peer.receive_to_end(), "");
  }
  EXPECT_EQ(server.drain().statistics.completed, 3U);
}

TEST(IoThreads, count_connections_against_one_bound) {
  ServerOptions options = three_io_threads();
  options.max_connections = 2;
  RunningServer server(options);
  std::vector<Peer> peers;
  for (int i = 0; i < 2; ++i) {
    peers.push_back(Peer::tcp(server.tcp()));
    peers.back().send(request_frame(1, "hold", "in"));  // not idle
    server.gate.wait_until_entered();
  }
  Peer third = Peer::tcp(server.tcp());
  third.send(request_frame(1, "echo", "out"));
  EXPECT_EQ(third.receive_frame().header.status, Status::busy);
  server.gate.open(2);
  for (Peer& peer : peers) EXPECT_EQ(peer.receive_frame().payload, "in");
}

TEST(IoThreads, keep_the_udp_port_to_their_server) {
  const RunningServer first(three_io_threads());
  ServerOptions options = three_io_threads();
  options.udp = {{"127.0.0.1", first.udp()}};
  Handlers handlers;
  add_builtin_jobs(handlers);
  EXPECT_THROW(Server(options, std::move(handlers)), std::runtime_error);
}

TEST(IoThreads, may_be_destroyed_without_having_run_and_drained_before_running) {
  Handlers handlers;
  add_builtin_jobs(handlers);
  { const Server never_run(three_io_threads(), handlers); }
  Server server(three_io_threads(), handlers);
  server.drain();
  EXPECT_EQ(server.run().statistics.received, 0U);
}

TEST(IoThreads, must_be_some_and_not_too_many) {
  for (const std::size_t wrong : {0U, 65U}) {
    ServerOptions options = local_options();
    options.io_threads = wrong;
    Handlers handlers;
    add_builtin_jobs(handlers);
    EXPECT_THROW(Server(options, std::move(handlers)), std::invalid_argument);
  }
}

}  // namespace
}  // namespace evpool
