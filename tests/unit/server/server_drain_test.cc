// What a drain owes those who have connected and sent before it.
#include <gtest/gtest.h>

#include <latch>
#include <string>
#include <vector>

#include "tests/peer.h"
#include "tests/unit/server/running_server.h"

namespace evpool {
namespace {

TEST(ServerDrain, answers_everyone_in_the_backlog) {
  std::latch draining(1);
  std::latch go_on(1);
  ServerOptions options = local_options();
  options.log = [&](LogLevel, std::string_view line) {
    if (!line.starts_with("draining")) return;
    draining.count_down();
    go_on.wait();
  };
  RunningServer server(options);
  server->drain();
  draining.wait();
  constexpr std::size_t kPeers = 200;
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < kPeers; ++i) {
    peers.push_back(Peer::tcp(server.tcp()));
    peers.back().send(request_frame(i, "echo", ""));
  }
  go_on.count_down();
  for (Peer& peer : peers) {
    EXPECT_EQ(peer.receive_frame().header.status, Status::shutting_down);
    EXPECT_EQ(peer.receive_to_end(), "");
  }
  EXPECT_EQ(server.drain().statistics.refused, kPeers);
}

// More than one turn of the loop receives of one connection.
TEST(ServerDrain, answers_all_that_had_arrived_however_much) {
  ServerOptions options = local_options();
  options.max_in_flight_per_connection = 2;
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  peer.send("hold first\necho second\n");
  server.gate.wait_until_entered();
  server.wait_for([](const Statistics& counts) { return counts.completed == 1; });
  // It is not received from now, so that much can arrive.
  const std::string line = "echo " + std::string(1000, 'x') + "\n";
  std::string lines;
  for (int i = 0; i < 2000; ++i) lines += line;
  std::size_t sent_bytes = 0;
  while (const std::size_t bytes = peer.send_some(std::string_view(lines).substr(sent_bytes))) {
    sent_bytes += bytes;
  }
  ASSERT_GT(sent_bytes, std::size_t{100} << 10U);
  server->drain();
  server.gate.open();
  EXPECT_EQ(peer.receive_line(), "first\n");
  EXPECT_EQ(peer.receive_line(), "second\n");
  for (std::size_t i = 0; i < sent_bytes / line.size(); ++i) {
    ASSERT_EQ(peer.receive_line().substr(0, 4), "ERR ") << i;
  }
  EXPECT_EQ(peer.receive_to_end(), "");
}

TEST(ServerDrain, counts_what_a_peer_would_not_read_and_does_not_wait_for_it_longer) {
  ServerOptions options = local_options();
  options.drain_timeout = std::chrono::milliseconds(50);
  std::string lines;
  options.log = [&](LogLevel, std::string_view line) { lines += std::string(line) + "\n"; };
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp(), 4096);
  for (std::uint64_t id = 0; id < 3; ++id) peer.send(request_frame(id, "large", "10000000"));
  server.wait_for([](const Statistics& counts) { return counts.completed == 3; });
  const DrainReport report = server.drain();
  EXPECT_EQ(report.still_running, 0U);
  EXPECT_EQ(report.statistics.undelivered, 3U);
  EXPECT_NE(lines.find("1 connections have not read their replies"), std::string::npos) << lines;
}

}  // namespace
}  // namespace evpool
