// How a client finds its server and connects to it.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <future>
#include <iterator>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/connector.h"
#include "protocol/frame.h"
#include "tests/unit/client/call_results.h"
#include "tests/unit/client/fake_names.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/full_listener.h"

// NOLINTNEXTLINE(bugprone-reserved-identifier): the linker's name
extern "C" int __wrap_getaddrinfo(const char* host, const char* port, const addrinfo* hints,
                                  addrinfo** found) {
  return evpool::FakeNames::look_up(host, port, hints, found);
}

namespace evpool {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::string sentence_of_refusal(const Address& server, const ClientOptions& options = {}) {
  try {
    const Client client(server, options);
  } catch (const ConnectError& error) {
    return error.what();
  }
  return "it connected";
}

TEST(ClientConnecting, a_refused_connection_is_told_in_a_whole_sentence) {
  const BoundSocket nobody_listens(Transport::tcp);
  EXPECT_EQ(sentence_of_refusal(nobody_listens.address()),
            "cannot connect to tcp " + to_string(nobody_listens.address()) +
                ": Connection refused (is evpoold running?)");
}

TEST(ClientConnecting, an_unknown_host_is_told_in_a_whole_sentence) {
  // A label of a host name has at most 63 bytes, so nobody needs to be asked for this one.
  const std::string host = std::string(64, 'x') + ".invalid";
  const std::string begin_of_tcp = "cannot connect to tcp " + host + ":6666: ";
  const std::string begin_of_udp = "cannot connect to udp " + host + ":6666: ";
  const std::string tcp = sentence_of_refusal({host, 6666});
  const std::string udp = sentence_of_refusal({host, 6666}, {.udp = true});
  EXPECT_TRUE(tcp.starts_with(begin_of_tcp) && tcp.size() > begin_of_tcp.size()) << tcp;
  EXPECT_TRUE(udp.starts_with(begin_of_udp) && udp.size() > begin_of_udp.size()) << udp;
}

TEST(ClientConnecting, gives_up_connecting_when_the_timeout_is_over_and_not_before) {
  const FullListener listener;
  const auto begin = Clock::now();
  EXPECT_EQ(sentence_of_refusal(listener.address(), {.connect_timeout = 100ms}),
            "cannot connect to tcp " + to_string(listener.address()) + ": Connection timed out");
  EXPECT_GE(Clock::now() - begin, 100ms);
}

TEST(ClientConnecting, a_connect_timeout_of_any_length_waits_for_the_server) {
  for (const auto timeout :
       {std::chrono::milliseconds(std::int64_t{1} << 32U), std::chrono::milliseconds::max()}) {
    FullListener listener;
    auto connecting = std::async(std::launch::async, [&] {
      return sentence_of_refusal(listener.address(), {.connect_timeout = timeout});
    });
    EXPECT_EQ(connecting.wait_for(100ms), std::future_status::timeout) << "it gave up";
    const auto deadline = Clock::now() + kPatience;
    while (connecting.wait_for(0s) != std::future_status::ready && Clock::now() < deadline) {
      listener.take_connections();
    }
    EXPECT_EQ(connecting.get(), "it connected");
  }
}

// --- Names

TEST(ClientConnecting, a_name_that_is_looked_up_for_too_long_is_given_up) {
  std::promise<void> release;
  FakeNames::add_slow("slow.test", release.get_future().share());
  const auto begin = Clock::now();
  for (const bool udp : {false, true}) {
    EXPECT_EQ(sentence_of_refusal({"slow.test", 6666}, {.udp = udp, .connect_timeout = 100ms}),
              std::string("cannot connect to ") + (udp ? "udp" : "tcp") +
                  " slow.test:6666: looking the name up took longer than 100ms");
  }
  EXPECT_GE(Clock::now() - begin, 200ms);
  EXPECT_LT(Clock::now() - begin, kPatience / 2);
  release.set_value();
}

// --- A name with several addresses

std::ptrdiff_t open_descriptors() {
  using std::filesystem::directory_iterator;
  return std::distance(directory_iterator("/proc/self/fd"), directory_iterator());
}

TEST(ClientConnecting, the_next_address_is_tried_at_once_when_one_refuses) {
  FakeServer server;
  const BoundSocket nobody_listens(Transport::tcp);
  FakeNames::add("refusing.test", {nobody_listens.address(), server.address()});
  const auto begin = Clock::now();
  Client client({"refusing.test", 1}, {.connect_timeout = kPatience});
  EXPECT_LT(Clock::now() - begin, kPatience / 2);
  server.accept();
  const auto id = client.send("upper", "hello", kPatient);
  server.reply(server.receive(), "HELLO");
  expect_ok(client.wait(id), "HELLO");
}

TEST(ClientConnecting, a_dead_address_leaves_the_next_one_its_time) {
  FakeServer server;
  const FullListener dead;
  const FullListener also_dead;
  FakeNames::add("dead.test", {dead.address(), also_dead.address(), server.address()});
  const auto begin = Clock::now();
  const Client client({"dead.test", 1}, {.connect_timeout = kPatience});
  EXPECT_GE(Clock::now() - begin, 2 * kConnectStagger) << "each is tried alone for a while";
  EXPECT_LT(Clock::now() - begin, kPatience / 2);
  server.accept();
}

TEST(ClientConnecting, closes_the_attempts_that_did_not_win) {
  FakeServer server;
  const FullListener dead;
  FakeNames::add("loser.test", {dead.address(), server.address()});
  const auto before = open_descriptors();
  {
    const Client client({"loser.test", 1}, {.connect_timeout = kPatience});
    EXPECT_EQ(open_descriptors(), before + 1);
  }
  const FullListener also_dead;
  FakeNames::add("losers.test", {dead.address(), also_dead.address()});
  const auto before_losing = open_descriptors();
  EXPECT_NE(sentence_of_refusal({"losers.test", 1}, {.connect_timeout = 300ms}), "it connected");
  EXPECT_EQ(open_descriptors(), before_losing);
}

TEST(ClientConnecting, gives_up_all_addresses_when_the_timeout_is_over) {
  const FullListener dead;
  const FullListener also_dead;
  FakeNames::add("all-dead.test", {dead.address(), also_dead.address()});
  const auto begin = Clock::now();
  EXPECT_EQ(sentence_of_refusal({"all-dead.test", 1}, {.connect_timeout = 300ms}),
            "cannot connect to tcp all-dead.test:1: Connection timed out");
  EXPECT_GE(Clock::now() - begin, 300ms);
}

TEST(ClientConnecting, is_refused_when_all_addresses_refuse) {
  const BoundSocket one(Transport::tcp);
  const BoundSocket other(Transport::tcp);
  FakeNames::add("nobody.test", {one.address(), other.address()});
  const auto before = open_descriptors();
  EXPECT_EQ(sentence_of_refusal({"nobody.test", 1}, {.connect_timeout = kPatience}),
            "cannot connect to tcp nobody.test:1: Connection refused (is evpoold running?)");
  EXPECT_EQ(open_descriptors(), before);
}

std::string pong_to(const Frame& ping) {
  std::string pong;
  append_header({.type = FrameType::pong, .id = ping.header.id}, pong);
  return pong;
}

TEST(ClientConnecting, over_udp_the_second_address_is_taken_when_the_first_refuses) {
  FakeServer server(Transport::udp);
  BoundSocket nobody(Transport::udp);
  nobody.refuse_datagrams();
  FakeNames::add("udp-refusing.test", {nobody.address(), server.address()});
  auto served = std::async(std::launch::async, [&] {
    const Frame ping = server.receive();
    EXPECT_EQ(ping.header.type, FrameType::ping);
    server.send(pong_to(ping));
    Frame request = server.receive();
    while (request.header.type == FrameType::ping) request = server.receive();
    server.reply(request, "HELLO");
  });
  Client client({"udp-refusing.test", 1}, {.udp = true, .connect_timeout = kPatience});
  expect_ok(client.call("upper", "hello", kPatient), "HELLO");
  served.get();
}

TEST(ClientConnecting, over_udp_a_silent_address_leaves_the_next_one_its_time) {
  FakeServer server(Transport::udp);
  const BoundSocket silent(Transport::udp);
  FakeNames::add("udp-silent.test", {silent.address(), server.address()});
  auto served = std::async(std::launch::async, [&] {
    Frame ping = server.receive();
    // Neither a pong of another ping nor a reply tells that it is an evpool server of ours.
    ++ping.header.id;
    server.send(pong_to(ping));
    --ping.header.id;
    server.reply(ping.header.id, Status::ok, "");
    server.receive();  // so it pings again
    server.send(pong_to(ping));
  });
  const Client client({"udp-silent.test", 1}, {.udp = true, .connect_timeout = kPatience});
  served.get();
}

TEST(ClientConnecting, over_udp_all_addresses_may_refuse) {
  BoundSocket one(Transport::udp);
  BoundSocket other(Transport::udp);
  one.refuse_datagrams();
  other.refuse_datagrams();
  FakeNames::add("udp-nobody.test", {one.address(), other.address()});
  EXPECT_EQ(
      sentence_of_refusal({"udp-nobody.test", 1}, {.udp = true, .connect_timeout = kPatience}),
      "cannot connect to udp udp-nobody.test:1: Connection refused (is evpoold running?)");
}

}  // namespace
}  // namespace evpool
