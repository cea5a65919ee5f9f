// The client over UDP; what is the same over TCP is in client_test.cc.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.h"
#include "protocol/frame.h"
#include "tests/unit/client/call_results.h"
#include "tests/unit/client/fake_server.h"

namespace evpool {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr CallOptions kPatientAndIdempotent = {.timeout = kPatience, .idempotent = true};

struct UdpPair {
  explicit UdpPair(ClientOptions options = {})
      : server(Transport::udp), client(server.address(), over_udp(options)) {}

  static ClientOptions over_udp(ClientOptions options) {
    options.udp = true;
    return options;
  }

  FakeServer server;
  Client client;
};

// The payloads of the datagrams that the client has sent; ends them with one of its own.
std::vector<std::string> payloads_sent(UdpPair& pair) {
  static_cast<void>(pair.client.send("end", "", {.timeout = 1ms}));
  std::vector<std::string> payloads;
  for (;;) {
    const Frame request = pair.server.receive();
    if (request.name == "end") return payloads;
    payloads.push_back(request.payload);
  }
}

TEST(UdpClient, gives_the_reply_to_the_request) {
  UdpPair pair;
  const auto id = pair.client.send("upper", "hello", {.timeout = 1'234ms});
  const Frame request = pair.server.receive();
  EXPECT_EQ(request.header.id, id);
  EXPECT_EQ(request.header.timeout_ms, 1'234U);
  EXPECT_EQ(request.name, "upper");
  EXPECT_EQ(request.payload, "hello");
  pair.server.reply(request, "HELLO");
  expect_ok(pair.client.wait(id), "HELLO");
}

TEST(UdpClient, takes_replies_in_any_order) {
  UdpPair pair;
  std::vector<Client::RequestId> sent;
  std::vector<Frame> requests;
  for (int i = 0; i < 50; ++i) {
    sent.push_back(pair.client.send("upper", std::to_string(i), kPatient));
    requests.push_back(pair.server.receive());
  }
  for (auto request = requests.rbegin(); request != requests.rend(); ++request) {
    pair.server.reply(*request, request->payload);
  }
  for (std::size_t i = 0; i < sent.size(); ++i) {
    expect_ok(pair.client.wait(sent[i]), std::to_string(i));
  }
}

TEST(UdpClient, sends_an_idempotent_request_again_when_it_was_dropped) {
  UdpPair pair;
  auto served = std::async(std::launch::async, [&] {
    const std::string dropped = pair.server.receive_datagram();
    const std::string again = pair.server.receive_datagram();
    EXPECT_EQ(again, dropped);
    Frame request;
    EXPECT_EQ(decode_datagram(again, request), FrameError::none);
    pair.server.reply(request, "HELLO");
  });
  expect_ok(pair.client.call("upper", "hello", kPatientAndIdempotent), "HELLO");
  served.get();
}

TEST(UdpClient, sends_a_dropped_request_again_while_it_waits_for_another) {
  UdpPair pair;
  const auto dropped = pair.client.send("upper", "dropped", kPatientAndIdempotent);
  pair.server.receive();
  auto served = std::async(std::launch::async, [&] {
    const Frame other = pair.server.receive();
    const Frame again = pair.server.receive();
    EXPECT_EQ(again.payload, "dropped");
    pair.server.reply(again, "DROPPED");
    pair.server.reply(other, "OTHER");
  });
  expect_ok(pair.client.call("upper", "other", kPatient), "OTHER");
  expect_ok(pair.client.wait(dropped), "DROPPED");
  served.get();
}

TEST(UdpClient, sends_again_less_and_less_often) {
  UdpPair pair;
  const CallResult result = pair.client.call("upper", "hello", {.timeout = 1s, .idempotent = true});
  EXPECT_EQ(result.state, CallState::timed_out);
  // At the latest: at once, after 0.2 s, after 0.6 s; then after 1.4 s.
  const std::size_t times = payloads_sent(pair).size();
  EXPECT_GE(times, 2U);
  EXPECT_LE(times, 3U);
}

TEST(UdpClient, does_not_send_again_what_is_overdue) {
  UdpPair pair;
  const auto overdue = pair.client.send("upper", "overdue", {.timeout = 50ms, .idempotent = true});
  const CallResult other = pair.client.call("upper", "other", {.timeout = 700ms});
  EXPECT_EQ(other.state, CallState::timed_out);
  EXPECT_EQ(payloads_sent(pair), (std::vector<std::string>{"overdue", "other"}));
  EXPECT_EQ(pair.client.wait(overdue).state, CallState::timed_out);
}

TEST(UdpClient, does_not_send_again_what_was_answered) {
  UdpPair pair;
  const auto answered = pair.client.send("upper", "answered", kPatientAndIdempotent);
  pair.server.reply(pair.server.receive(), "ANSWERED");
  expect_ok(pair.client.wait(answered), "ANSWERED");
  EXPECT_EQ(pair.client.call("upper", "other", {.timeout = 500ms}).state, CallState::timed_out);
  EXPECT_EQ(payloads_sent(pair), std::vector<std::string>{"other"});
}

TEST(UdpClient, sends_what_is_not_idempotent_exactly_once) {
  UdpPair pair;
  EXPECT_EQ(pair.client.call("charge", "once", {.timeout = 700ms}).state, CallState::timed_out);
  EXPECT_EQ(payloads_sent(pair), std::vector<std::string>{"once"});
}

TEST(UdpClient, pings_again_when_the_first_was_dropped) {
  UdpPair pair;
  auto served = std::async(std::launch::async, [&] {
    pair.server.receive();
    const Frame ping = pair.server.receive();
    EXPECT_EQ(ping.header.type, FrameType::ping);
    std::string pong;
    append_header({.type = FrameType::pong, .id = ping.header.id}, pong);
    pair.server.send(pong);
  });
  expect_ok(pair.client.ping(kPatience), "");
  served.get();
}

TEST(UdpClient, passes_over_a_second_reply) {
  UdpPair pair;
  const auto first = pair.client.send("upper", "a", kPatient);
  const auto second = pair.client.send("upper", "b", kPatient);
  const Frame request = pair.server.receive();
  pair.server.reply(request, "A");
  pair.server.reply(request.header.id, Status::failed, "A again");
  pair.server.reply(pair.server.receive(), "B");
  expect_ok(pair.client.wait(second), "B");
  expect_ok(pair.client.wait(first), "A");
}

TEST(UdpClient, passes_over_a_reply_that_comes_too_late) {
  UdpPair pair;
  const auto late = pair.client.send("upper", "late", {.timeout = 20ms});
  EXPECT_EQ(pair.client.wait(late).state, CallState::timed_out);
  pair.server.reply(pair.server.receive(), "LATE");
  const auto next = pair.client.send("upper", "next", kPatient);
  pair.server.reply(pair.server.receive(), "NEXT");
  expect_ok(pair.client.wait(next), "NEXT");
}

TEST(UdpClient, passes_over_datagrams_that_are_no_reply) {
  UdpPair pair;
  const auto id = pair.client.send("upper", "hello", kPatient);
  pair.server.receive();
  const std::string reply = FakeServer::make_reply(id, Status::ok, "HELLO");
  pair.server.send("");
  pair.server.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  pair.server.send(std::string(60'000, '\xF6'));
  pair.server.send(reply.substr(0, 10));
  pair.server.send(reply.substr(0, reply.size() - 1));
  pair.server.send(reply + "!");
  std::string unknown_status = reply;
  unknown_status[6] = 99;
  pair.server.send(unknown_status);
  std::string request;
  append_request(id, "upper", "from the server", 1000, Priority::normal, request);
  pair.server.send(request);
  pair.server.reply(id + 1, Status::ok, "of nobody");
  EXPECT_FALSE(pair.client.ready(id));
  pair.server.send(reply);
  expect_ok(pair.client.wait(id), "HELLO");
}

TEST(UdpClient, takes_no_reply_from_anybody_else) {
  UdpPair pair;
  FakeServer stranger(Transport::udp);
  const auto id = pair.client.send("upper", "hello", kPatient);
  const Frame request = pair.server.receive();
  stranger.send_to_client_of(pair.server, FakeServer::make_reply(id, Status::failed, "no"));
  pair.server.reply(request, "HELLO");
  expect_ok(pair.client.wait(id), "HELLO");
}

TEST(UdpClient, a_reply_over_the_limit_is_too_large) {
  UdpPair pair({.max_reply_bytes = 100});
  const auto at_limit = pair.client.send("upper", "a", kPatient);
  pair.server.reply(pair.server.receive(), std::string(100, 'A'));
  expect_ok(pair.client.wait(at_limit), std::string(100, 'A'));
  const auto over = pair.client.send("upper", "b", kPatient);
  pair.server.reply(pair.server.receive(), std::string(101, 'B'));
  const CallResult result = pair.client.wait(over);
  EXPECT_EQ(result.state, CallState::replied);
  EXPECT_EQ(result.status, Status::too_large);
}

// Its kernel says so once for each datagram: to the next send, if that comes before a receive.
TEST(UdpClient, a_dead_server_ends_all_requests_at_once) {
  for (const std::size_t requests : {1U, 2U, 3U}) {
    BoundSocket nobody(Transport::udp);
    nobody.refuse_datagrams();
    const auto begin = Clock::now();
    Client client(nobody.address(), {.udp = true});
    std::vector<Client::RequestId> sent;
    for (std::size_t i = 0; i < requests; ++i) sent.push_back(client.send("upper", "a", kPatient));
    for (const auto id : sent) {
      const CallResult result = client.wait(id);
      EXPECT_EQ(result.state, CallState::connection_lost);
      EXPECT_EQ(result.payload, "lost udp " + to_string(nobody.address()) + ": Connection refused");
    }
    EXPECT_EQ(client.call("upper", "later", kPatient).state, CallState::connection_lost);
    EXPECT_EQ(client.ping(kPatience).state, CallState::connection_lost);
    EXPECT_LT(Clock::now() - begin, kPatience / 2);
  }
}

TEST(UdpClient, a_request_is_as_large_as_a_datagram_at_most) {
  UdpPair pair;
  const std::string largest(kMaxDatagramBytes - kFrameHeaderBytes - 5, 'x');
  try {
    static_cast<void>(pair.client.send("upper", largest + "x"));
    ADD_FAILURE() << "it was taken";
  } catch (const std::invalid_argument& error) {
    EXPECT_EQ(std::string(error.what()),
              "a payload of 65479 bytes does not fit a datagram; use TCP");
  }
  EXPECT_THROW(static_cast<void>(pair.client.call("longer", largest, kPatientAndIdempotent)),
               std::invalid_argument);

  const auto id = pair.client.send("upper", largest, kPatient);
  const Frame request = pair.server.receive();
  EXPECT_TRUE(request.payload == largest);
  pair.server.reply(request, "UPPER");
  expect_ok(pair.client.wait(id), "UPPER");
  EXPECT_TRUE(payloads_sent(pair).empty());
}

TEST(UdpClient, off_loopback_a_request_must_fit_any_path) {
  // An address of documentation (RFC 5737). Nothing is sent there: what fits is not tried.
  const Address elsewhere{"192.0.2.1", 6666};
  try {
    Client client(elsewhere, {.udp = true});
    const std::string too_large(kMaxRemoteDatagramBytes - kFrameHeaderBytes - 5 + 1, 'x');
    EXPECT_THROW(static_cast<void>(client.send("upper", too_large)), std::invalid_argument);
  } catch (const ConnectError& error) {
    GTEST_SKIP() << "no network: " << error.what();
  }
}

TEST(UdpClient, a_full_flight_makes_send_take_in_a_reply_first) {
  UdpPair pair({.max_in_flight = 1});
  const auto first = pair.client.send("upper", "a", kPatient);
  const Frame request = pair.server.receive();
  auto sending =
      std::async(std::launch::async, [&] { return pair.client.send("upper", "b", kPatient); });
  EXPECT_TRUE(pair.server.hears_nothing(100ms));
  pair.server.reply(request, "A");
  const Frame next = pair.server.receive();
  const auto second = sending.get();
  pair.server.reply(next, "B");
  expect_ok(pair.client.wait(second), "B");
  expect_ok(pair.client.wait(first), "A");
}

}  // namespace
}  // namespace evpool
