// Streams whose replies leave in the order of their requests: what waits for its turn is bounded.
#include <gtest/gtest.h>

#include <string>

#include "tests/peer.h"
#include "tests/unit/server/running_server.h"

namespace evpool {
namespace {

// Has the server's loop come to what any peer had sent before.
void round_trip(RunningServer& server) {
  Peer peer = Peer::tcp(server.tcp());
  for (int i = 0; i < 2; ++i) {
    peer.send(request_frame(1, "echo", ""));
    peer.receive_frame();
  }
}
constexpr std::uint64_t kRoundTrip = 2;  // requests

TEST(ServerOrder, no_more_requests_are_received_than_may_be_in_flight) {
  ServerOptions options = local_options();
  options.max_in_flight_per_connection = 8;
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  constexpr std::size_t kLines = 200;
  const std::string line = "echo " + std::string(1000, 'x') + "\n";
  std::string lines = "hold first\n";
  for (std::size_t i = 0; i < kLines; ++i) lines += line;
  peer.send(lines);
  server.gate.wait_until_entered();
  round_trip(server);
  // One receive of up to 64 KiB, of which the first 8 are taken and the others busy.
  EXPECT_LE(server->statistics().received, kRoundTrip + 66);

  server.gate.open();
  EXPECT_EQ(peer.receive_line(), "first\n");
  std::size_t answered = 0;
  std::size_t busy = 0;
  for (; answered < kLines; ++answered) busy += peer.receive_line().starts_with("ERR busy") ? 1 : 0;
  EXPECT_LT(busy, kLines);
  EXPECT_EQ(server.drain().statistics.received, kRoundTrip + 1 + kLines);
}

TEST(ServerOrder, no_more_is_received_when_much_waits_for_its_turn) {
  ServerOptions options = local_options();
  options.max_output_bytes = 64 << 10;
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  peer.send("hold first\n");
  server.gate.wait_until_entered();
  const std::string line = "echo " + std::string(60'000, 'x') + "\n";
  for (std::uint64_t sent = 1; sent <= 2; ++sent) {
    peer.send(line);
    server.wait_for([&](const Statistics& counts) { return counts.completed == sent; });
  }
  for (int i = 0; i < 5; ++i) peer.send(line);
  round_trip(server);
  EXPECT_LE(server->statistics().received, kRoundTrip + 1 + 2 + 2);

  server.gate.open();
  EXPECT_EQ(peer.receive_line(), "first\n");
  for (int i = 0; i < 7; ++i) EXPECT_EQ(peer.receive_exactly(60'000 + 1).back(), '\n');
}

TEST(ServerOrder, a_peer_that_is_not_received_from_does_not_stall) {
  ServerOptions options = local_options();
  options.max_in_flight_per_connection = 2;
  options.stall_timeout = std::chrono::milliseconds(50);
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  peer.send("hold first\necho a\necho b");
  server.gate.wait_until_entered();
  server.wait_for([](const Statistics& counts) { return counts.completed == 1; });
  Peer stalling = Peer::tcp(server.tcp());
  stalling.send("\xF6");
  stalling.receive_to_end(true);  // so much time has passed
  peer.send("\n");
  server.gate.open();
  EXPECT_EQ(peer.receive_line(), "first\n");
  EXPECT_EQ(peer.receive_line(), "a\n");
  EXPECT_EQ(peer.receive_line(), "b\n");
}

}  // namespace
}  // namespace evpool
