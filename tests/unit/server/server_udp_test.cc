// The server over UDP, with peers of the tests' own. All are on loopback; the rules for other
// networks are UdpEndpoint's and tested in udp_endpoint_test.cc.
#include <gtest/gtest.h>

#include <string>

#include "tests/peer.h"
#include "tests/unit/server/running_server.h"

namespace evpool {
namespace {

Frame receive_frame(Peer& peer) {
  Frame frame;
  EXPECT_EQ(decode_datagram(peer.receive_datagram(), frame), FrameError::none);
  return frame;
}

TEST(ServerUdp, answers_a_frame_with_a_frame) {
  RunningServer server;
  Peer peer = Peer::udp(server.udp());
  peer.send_datagram(request_frame(42, "upper", "hello"));
  const Frame reply = receive_frame(peer);
  EXPECT_EQ(reply.header.id, 42U);
  EXPECT_EQ(reply.payload, "HELLO");
}

TEST(ServerUdp, answers_anything_else_raw) {
  RunningServer server;
  Peer peer = Peer::udp(server.udp());
  peer.send_datagram("hello");
  EXPECT_EQ(peer.receive_datagram(), "HELLO");
  peer.send_datagram("");
  EXPECT_EQ(peer.receive_datagram(), "");
  const std::string largest(kMaxDatagramBytes, 'a');
  peer.send_datagram(largest);
  EXPECT_EQ(peer.receive_datagram(), std::string(kMaxDatagramBytes, 'A'));
}

TEST(ServerUdp, answers_a_ping) {
  RunningServer server;
  Peer peer = Peer::udp(server.udp());
  std::string ping;
  append_header({.type = FrameType::ping, .id = 5}, ping);
  peer.send_datagram(ping);
  EXPECT_EQ(receive_frame(peer).header.type, FrameType::pong);
}

TEST(ServerUdp, answers_every_truncation_of_a_frame_with_bad_request_or_not_at_all) {
  RunningServer server;
  Peer peer = Peer::udp(server.udp());
  const std::string frame = request_frame(9, "upper", "hello");
  for (std::size_t length = kFrameMagic.size(); length < frame.size(); ++length) {
    peer.send_datagram(frame.substr(0, length));
    if (length < kFrameHeaderBytes) continue;  // without a whole header nothing can be answered
    const Frame reply = receive_frame(peer);
    EXPECT_EQ(reply.header.status, Status::bad_request) << length;
    EXPECT_EQ(reply.header.id, 9U);
  }
  const Statistics counts = server.drain().statistics;
  EXPECT_EQ(counts.datagrams_ignored, kFrameHeaderBytes - kFrameMagic.size());
  EXPECT_EQ(counts.refused, frame.size() - kFrameHeaderBytes);
}

TEST(ServerUdp, never_answers_what_looks_like_an_answer) {
  RunningServer server;
  Peer peer = Peer::udp(server.udp());
  std::string reply;
  append_reply_header(1, Status::ok, 0, reply);
  peer.send_datagram(reply);
  std::string pong;
  append_header({.type = FrameType::pong, .id = 1}, pong);
  peer.send_datagram(pong);
  reply[6] = '\x7F';  // an unknown status makes it no less a reply
  peer.send_datagram(reply);
  peer.send_datagram("end");
  EXPECT_EQ(peer.receive_datagram(), "END");
  EXPECT_TRUE(peer.nothing_arrived());
  EXPECT_EQ(server.drain().statistics.datagrams_ignored, 3U);
}

TEST(ServerUdp, raw_datagrams_from_a_port_number_of_its_own_are_not_answered) {
  ServerOptions options = local_options();
  options.udp.push_back({"127.0.0.1", 0});
  RunningServer server(options);
  // Another address of this host with the other socket's port: as a server's raw reply would come.
  const int twin = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
  at.sin_port = htons(server->listening().at(3).address.port);
  ASSERT_EQ(bind(twin, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(server.udp());
  ASSERT_EQ(sendto(twin, "HELLO", 5, 0, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 5);
  close(twin);
  server.wait_for([](const Statistics& counts) { return counts.datagrams_ignored == 1; });
  EXPECT_EQ(server.drain().statistics.received, 0U);
}

TEST(ServerUdp, a_reply_that_fits_no_datagram_is_too_large) {
  RunningServer server;
  Peer peer = Peer::udp(server.udp());
  peer.send_datagram(request_frame(1, "large", "65483"));
  EXPECT_EQ(receive_frame(peer).payload.size(), 65'483U);
  peer.send_datagram(request_frame(2, "large", "65484"));
  const Frame reply = receive_frame(peer);
  EXPECT_EQ(reply.header.status, Status::too_large);
  EXPECT_EQ(reply.payload,
            "the reply of 65484 bytes does not fit the 65483 bytes it may have; use TCP");
}

TEST(ServerUdp, raw_errors_are_text) {
  ServerOptions options = local_options();
  options.default_job = "fail";
  RunningServer server(options);
  Peer peer = Peer::udp(server.udp());
  peer.send_datagram("the reason");
  EXPECT_EQ(peer.receive_datagram(), "ERR failed the reason");
}

TEST(ServerUdp, a_payload_over_the_limit_is_too_large) {
  ServerOptions options = local_options();
  options.max_payload_bytes = 10;
  RunningServer server(options);
  Peer peer = Peer::udp(server.udp());
  peer.send_datagram("0123456789");
  EXPECT_EQ(peer.receive_datagram(), "0123456789");
  peer.send_datagram("0123456789a");
  EXPECT_EQ(peer.receive_datagram(), "ERR too_large the payload is 11 bytes, the limit 10");
}

TEST(ServerUdp, what_arrived_before_a_drain_is_answered) {
  ServerOptions options = local_options();
  options.workers = 1;
  RunningServer server(options);
  Peer peer = Peer::udp(server.udp());
  peer.send_datagram(request_frame(1, "hold", "accepted"));
  server.gate.wait_until_entered();
  server->drain();
  server.gate.open();
  EXPECT_EQ(receive_frame(peer).payload, "accepted");
}

}  // namespace
}  // namespace evpool
