// What an endpoint allows a peer that is not on loopback: no test sends anything there.
#include "server/udp_endpoint.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace evpool {
namespace {

PeerAddress peer_at(const char* host) {
  PeerAddress peer{};
  if (inet_pton(AF_INET, host, &peer.ipv4.sin_addr) == 1) {
    peer.any.sa_family = AF_INET;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, host, &peer.ipv6.sin6_addr), 1);
    peer.any.sa_family = AF_INET6;
  }
  return peer;
}

TEST(PeerAddress, knows_loopback) {
  EXPECT_TRUE(peer_at("127.0.0.1").is_loopback());
  EXPECT_TRUE(peer_at("127.255.0.9").is_loopback());
  EXPECT_TRUE(peer_at("::1").is_loopback());
  EXPECT_FALSE(peer_at("128.0.0.1").is_loopback());
  EXPECT_FALSE(peer_at("10.0.0.1").is_loopback());
  EXPECT_FALSE(peer_at("fe80::1").is_loopback());
}

TEST(UdpEndpoint, off_loopback_an_answer_is_no_longer_than_what_it_answers) {
  EXPECT_EQ(UdpEndpoint::answer_limit_bytes(peer_at("10.0.0.1"), 30), 30U);
  EXPECT_EQ(UdpEndpoint::answer_limit_bytes(peer_at("fe80::1"), 0), 0U);
  EXPECT_EQ(UdpEndpoint::answer_limit_bytes(peer_at("10.0.0.1"), 65'507), 1'200U);
  EXPECT_EQ(UdpEndpoint::answer_limit_bytes(peer_at("127.0.0.1"), 1), 65'507U);
}

class UdpEndpointFit : public testing::Test {
 protected:
  // What is sent of a reply, after the header if it has one; and the status it then has.
  Reply fitted(bool raw, std::uint32_t limit_bytes, Reply reply) {
    const Origin origin = {.limit_bytes = limit_bytes, .raw = raw};
    Replies replies;
    endpoint_->encode({.origin = &origin}, reply, replies);
    EXPECT_EQ(replies.count(), 1U);
    EXPECT_LE(replies.bytes.size(), limit_bytes);
    return {.status = reply.status, .payload = replies.bytes.substr(raw ? 0 : kFrameHeaderBytes)};
  }

 private:
  EventLoop loop_;
  Dispatcher dispatcher_{Handlers{}, {}, std::chrono::milliseconds(1000), [] {}};
  Intake intake_{loop_, dispatcher_};
  const ServerOptions options_{};
  const std::shared_ptr<UdpEndpoint> endpoint_ = std::make_shared<UdpEndpoint>(
      loop_, intake_, options_, std::span<const std::uint16_t>{},
      std::move(bind_sockets("udp", {"127.0.0.1", 0}, Transport::udp).front()));
};

TEST_F(UdpEndpointFit, a_result_that_just_fits_is_left_alone) {
  const Reply framed = fitted(false, 34, Reply::ok("0123456789"));
  EXPECT_EQ(framed.status, Status::ok);
  EXPECT_EQ(framed.payload, "0123456789");
  EXPECT_EQ(fitted(true, 10, Reply::ok("0123456789")).payload, "0123456789");
}

TEST_F(UdpEndpointFit, a_longer_result_becomes_too_large_and_its_message_is_cut) {
  const Reply framed = fitted(false, 33, Reply::ok("0123456789"));
  EXPECT_EQ(framed.status, Status::too_large);
  EXPECT_EQ(framed.payload, "the reply");
  EXPECT_EQ(fitted(false, 24, Reply::ok("x")).payload, "");
  EXPECT_EQ(fitted(true, 9, Reply::ok("0123456789")).status, Status::too_large);
}

TEST_F(UdpEndpointFit, another_statuss_message_is_cut_and_its_status_kept) {
  const Reply framed = fitted(false, 30, Reply::failed("a long reason"));
  EXPECT_EQ(framed.status, Status::failed);
  EXPECT_EQ(framed.payload, "a long");
}

}  // namespace
}  // namespace evpool
