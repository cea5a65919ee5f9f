// Who has a place among max_connections, and who must give his up.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/peer.h"
#include "tests/unit/server/running_server.h"

namespace evpool {
namespace {

ServerOptions with_places(std::size_t max_connections) {
  ServerOptions options = local_options();
  options.max_connections = max_connections;
  return options;
}

// Whether the server answers this peer.
bool is_served(Peer& peer) {
  peer.send(request_frame(1, "echo", ""));
  return peer.receive_frame().header.status == Status::ok;
}

// Two peers that are owed an answer, until the server's gate opens for them.
std::vector<Peer> two_in_flight(RunningServer& server) {
  std::vector<Peer> peers;
  for (int i = 0; i < 2; ++i) {
    peers.push_back(Peer::tcp(server.tcp()));
    peers.back().send(request_frame(1, "hold", ""));
    server.gate.wait_until_entered();
  }
  return peers;
}

TEST(ServerPlaces, a_new_connection_takes_the_place_of_the_one_idle_for_longest) {
  RunningServer server(with_places(3));
  std::vector<Peer> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(Peer::tcp(server.tcp()));
    EXPECT_TRUE(is_served(peers.back()));
  }
  EXPECT_TRUE(is_served(peers[0])) << "so the second is the least recently used";
  Peer next = Peer::tcp(server.tcp());
  EXPECT_TRUE(is_served(next));
  EXPECT_EQ(peers[1].receive_to_end(), "");
  EXPECT_TRUE(is_served(peers[0]));
  EXPECT_TRUE(is_served(peers[2]));
  const Statistics counts = server.drain().statistics;
  EXPECT_EQ(counts.connections_evicted, 1U);
  EXPECT_EQ(counts.connections_refused, 0U);
}

TEST(ServerPlaces, nobody_who_is_owed_an_answer_loses_his_place) {
  RunningServer server(with_places(2));
  std::vector<Peer> peers = two_in_flight(server);
  Peer next = Peer::tcp(server.tcp());
  EXPECT_FALSE(is_served(next));
  EXPECT_EQ(next.receive_to_end(), "");
  server.gate.open(2);
  for (Peer& peer : peers) EXPECT_EQ(peer.receive_frame().header.status, Status::ok);
  EXPECT_EQ(server.drain().statistics.connections_evicted, 0U);
}

TEST(ServerPlaces, nobody_who_has_begun_a_request_loses_his_place) {
  RunningServer server(with_places(1));
  Peer sending = Peer::tcp(server.tcp());
  const std::string frame = request_frame(1, "upper", "hello");
  sending.send(frame.substr(0, 20));
  Peer next = Peer::tcp(server.tcp());
  EXPECT_FALSE(is_served(next));
  sending.send(frame.substr(20));
  EXPECT_EQ(sending.receive_frame().payload, "HELLO");
}

TEST(ServerPlaces, a_silent_connection_over_the_limit_holds_no_place) {
  RunningServer server(with_places(2));
  std::vector<Peer> peers = two_in_flight(server);
  std::vector<Peer> silent;
  for (int i = 0; i < 10; ++i) silent.push_back(Peer::tcp(server.tcp()));
  server.wait_for([](const Statistics& counts) { return counts.connections_open == 12; });
  server.gate.open(2);
  for (Peer& peer : peers) {
    peer.receive_frame();
    peer.close();
  }
  server.wait_for([](const Statistics& counts) { return counts.connections_open == 10; });
  Peer next = Peer::tcp(server.tcp());
  EXPECT_TRUE(is_served(next));
  EXPECT_TRUE(is_served(silent[0])) << "there is room now";
  server.drain();
}

TEST(ServerPlaces, of_many_silent_ones_over_the_limit_the_oldest_go_first) {
  RunningServer server(with_places(1));
  Peer first = Peer::tcp(server.tcp());
  first.send(request_frame(1, "hold", ""));
  server.gate.wait_until_entered();
  std::vector<Peer> silent;
  for (int i = 0; i < 65; ++i) silent.push_back(Peer::tcp(server.tcp()));
  EXPECT_EQ(silent.front().receive_to_end(), "");
  silent.back().send(request_frame(7, "echo", ""));
  EXPECT_EQ(silent.back().receive_frame().header.status, Status::busy);
  server.gate.open();
  EXPECT_EQ(first.receive_frame().header.status, Status::ok);
  server.drain();
}

TEST(ServerPlaces, an_idle_connection_of_another_io_thread_gives_way_too) {
  ServerOptions options = with_places(1);
  options.io_threads = 4;
  RunningServer server(options);
  Peer idle = Peer::tcp(server.tcp());
  EXPECT_TRUE(is_served(idle));
  Peer next = Peer::tcp(server.tcp());  // of the next thread
  EXPECT_EQ(idle.receive_to_end(), "");
  EXPECT_TRUE(is_served(next));
  EXPECT_EQ(server.drain().statistics.connections_refused, 0U);
}

TEST(ServerPlaces, a_raw_connection_takes_an_idle_ones_place_too) {
  RunningServer server(with_places(1));
  Peer idle = Peer::tcp(server.tcp());
  EXPECT_TRUE(is_served(idle));
  Peer raw = Peer::tcp(server.raw());
  raw.send("hello");
  EXPECT_EQ(raw.receive_exactly(5), "HELLO");
  EXPECT_EQ(idle.receive_to_end(), "");
}

}  // namespace
}  // namespace evpool
