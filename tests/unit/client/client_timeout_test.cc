// What a client bounds: time, whatever its server does, and requests in flight.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "client/client.h"
#include "protocol/frame.h"
#include "tests/unit/client/call_results.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/tcp_pair.h"

namespace evpool {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(ClientBounds, gives_up_when_the_timeout_is_over_and_not_before) {
  Pair pair;
  const auto begin = Clock::now();
  const CallResult result = pair.client.call("upper", "hello", {.timeout = 50ms});
  EXPECT_GE(Clock::now() - begin, 50ms);
  EXPECT_EQ(result.state, CallState::timed_out);
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.payload, "no reply from " + name_of(pair.server) + " within 50ms");
}

TEST(ClientBounds, passes_over_a_reply_that_comes_too_late) {
  Pair pair;
  const auto late = pair.client.send("upper", "late", {.timeout = 20ms});
  EXPECT_EQ(pair.client.wait(late).state, CallState::timed_out);
  pair.server.reply(late, Status::ok, "LATE");
  for (int i = 0; i < 3; ++i) {
    const std::string payload = std::to_string(i);
    const auto id = pair.client.send("upper", payload, kPatient);
    pair.server.reply(id, Status::ok, payload);
    expect_ok(pair.client.wait(id), payload);
  }
}

TEST(ClientBounds, a_reply_in_time_counts_however_late_it_is_asked_for) {
  constexpr auto kTimeout = 500ms;
  Pair pair;
  const auto id = pair.client.send("upper", "hello", {.timeout = kTimeout});
  const auto sent_at = Clock::now();
  pair.server.reply(id, Status::ok, "HELLO");
  while (Clock::now() < sent_at + kTimeout) std::this_thread::sleep_for(10ms);
  expect_ok(pair.client.wait(id), "HELLO");
}

TEST(ClientBounds, a_timeout_of_any_length_waits_for_the_reply) {
  for (const auto timeout :
       {std::chrono::milliseconds(24h * 365), std::chrono::milliseconds::max()}) {
    Pair pair;
    auto served = std::async(std::launch::async, [&] {
      const Frame request = pair.server.receive();
      EXPECT_EQ(request.header.timeout_ms, UINT32_MAX);
      pair.server.reply(request, "HELLO");
    });
    expect_ok(pair.client.call("upper", "hello", {.timeout = timeout}), "HELLO");
    served.get();
  }
}

// Sends frames without end in a thread of its own, until it is destroyed.
class EndlessSender {
 public:
  EndlessSender(FakeServer& server, std::string frames)
      : sending_([&server, frames = std::move(frames), this] {
          while (!ended_.load()) {
            try {
              server.send(frames);
            } catch (const std::exception&) {
              return;  // the client has closed the connection
            }
          }
        }) {}
  ~EndlessSender() {
    ended_ = true;
    sending_.join();
  }
  EndlessSender(const EndlessSender&) = delete;
  EndlessSender& operator=(const EndlessSender&) = delete;

 private:
  std::atomic<bool> ended_{false};
  std::thread sending_;
};

std::string many(const std::string& frame, std::size_t bytes) {
  std::string frames;
  while (frames.size() < bytes) frames += frame;
  return frames;
}

TEST(ClientBounds, a_stream_of_other_frames_does_not_outlast_the_timeout) {
  for (const std::string& frame :
       {make_pong(1), FakeServer::make_reply(1, Status::ok, "nobody's")}) {
    FakeServer server;
    auto client = std::make_unique<Client>(server.address());
    server.accept();
    const EndlessSender endless(server, many(frame, 4'000'000));
    std::this_thread::sleep_for(50ms);  // the kernel's buffers are full by now, most likely
    const auto begin = Clock::now();
    EXPECT_EQ(client->call("upper", "hello", {.timeout = 50ms}).state, CallState::timed_out);
    EXPECT_EQ(client->ping(50ms).state, CallState::timed_out);
    EXPECT_LT(Clock::now() - begin, kPatience / 2);
    client.reset();  // ends the sender's waiting
  }
}

TEST(ClientBounds, a_reply_that_comes_byte_by_byte_does_not_outlast_the_timeout) {
  FakeServer server;
  auto client = std::make_unique<Client>(server.address());
  server.accept();
  const auto id = client->send("upper", "hello", {.timeout = 50ms});
  server.send(FakeServer::make_reply(id, Status::ok, std::string(50'000'000, 'x')).substr(0, 100));
  const EndlessSender endless(server, "x");
  EXPECT_EQ(client->wait(id).state, CallState::timed_out);
  client.reset();
}

TEST(ClientBounds, what_has_arrived_in_time_counts_behind_many_other_frames) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", {.timeout = 100ms});
  const auto sent_at = Clock::now();
  // More than is taken in at once, less than the kernel keeps for the client.
  pair.server.send(many(make_pong(1), 100'000));
  pair.server.reply(id, Status::ok, "HELLO");
  while (Clock::now() < sent_at + 150ms) std::this_thread::sleep_for(10ms);
  expect_ok(pair.client.wait(id), "HELLO");
}

TEST(ClientBounds, tells_the_server_what_is_left_of_the_timeout) {
  Pair pair({.max_in_flight = 1});
  const auto first = pair.client.send("upper", "a", kPatient);
  auto served = std::async(std::launch::async, [&] {
    const Frame request = pair.server.receive();
    EXPECT_TRUE(pair.server.hears_nothing(100ms));  // the second one waits for room meanwhile
    pair.server.reply(request, "A");
    return pair.server.receive();
  });
  static_cast<void>(pair.client.send("upper", "b", kPatient));
  EXPECT_LE(served.get().header.timeout_ms, std::chrono::milliseconds(kPatience - 100ms).count());
  expect_ok(pair.client.wait(first), "A");
}

// --- Waiting one's turn

TEST(ClientBounds, a_request_that_waits_its_turn_has_its_timeout_from_the_last_answer_on) {
  Pair pair;
  constexpr auto kTimeout = 2s;
  const auto first = pair.client.send("upper", "a", {.timeout = kTimeout});
  const auto second = pair.client.send("upper", "b", {.timeout = kTimeout});
  const auto sent_at = Clock::now();
  pair.server.reply(first, Status::ok, "A");
  auto served = std::async(std::launch::async, [&] {
    // After the timeout counted from sending, before that from the answer to the first.
    while (Clock::now() < sent_at + kTimeout + 300ms) std::this_thread::sleep_for(5ms);
    pair.server.reply(second, Status::ok, "B");
  });
  while (Clock::now() < sent_at + kTimeout - 500ms) std::this_thread::sleep_for(5ms);
  expect_ok(pair.client.wait_in_turn(first), "A");  // received now
  expect_ok(pair.client.wait_in_turn(second), "B");
  served.get();
}

TEST(ClientBounds, a_request_in_its_turn_times_out_when_nothing_else_is_answered) {
  Pair pair;
  const auto first = pair.client.send("upper", "a", {.timeout = 50ms});
  const auto second = pair.client.send("upper", "b", {.timeout = 50ms});
  const auto begin = Clock::now();
  EXPECT_EQ(pair.client.wait_in_turn(first).state, CallState::timed_out);
  EXPECT_EQ(pair.client.wait_in_turn(second).state, CallState::timed_out);
  // The second's turn came when the first was given up.
  EXPECT_GE(Clock::now() - begin, 100ms - 10ms);
}

TEST(ClientBounds, knows_how_many_requests_are_in_flight_and_whether_there_is_room) {
  Pair pair({.max_in_flight = 2});
  const auto first = pair.client.send("upper", "a", kPatient);
  EXPECT_TRUE(pair.client.has_room(1));
  const auto second = pair.client.send("upper", "b", kPatient);
  EXPECT_EQ(pair.client.in_flight(), 2U);
  EXPECT_FALSE(pair.client.has_room(1));
  pair.server.reply(first, Status::ok, "A");
  expect_ok(pair.client.wait(first), "A");
  EXPECT_EQ(pair.client.in_flight(), 1U);
  EXPECT_TRUE(pair.client.has_room(1));
  static_cast<void>(second);
}

TEST(ClientBounds, an_overdue_request_is_ready_but_has_not_arrived) {
  Pair pair;
  const auto id = pair.client.send("upper", "hello", {.timeout = 0ms});
  EXPECT_TRUE(pair.client.ready(id));
  EXPECT_FALSE(pair.client.arrived(id));
}

TEST(ClientBounds, send_returns_when_the_timeout_is_over_and_the_server_never_reads) {
  Pair pair;
  const auto begin = Clock::now();
  const auto id =
      pair.client.send("upper", std::string(std::size_t{32} << 20U, 'x'), {.timeout = 200ms});
  EXPECT_GE(Clock::now() - begin, 200ms) << "the sockets took it all";
  EXPECT_LT(Clock::now() - begin, kPatience / 2);
  EXPECT_EQ(pair.client.wait(id).state, CallState::timed_out);
}

TEST(ClientBounds, the_stream_goes_on_after_a_send_that_took_too_long) {
  Pair pair;
  const std::string large = random_bytes(std::size_t{32} << 20U);
  const auto late = pair.client.send("large", large, {.timeout = 50ms});
  EXPECT_EQ(pair.client.wait(late).state, CallState::timed_out);
  auto served = std::async(std::launch::async, [&] {
    EXPECT_TRUE(pair.server.receive().payload == large);
    pair.server.reply(late, Status::ok, "LATE");
    pair.server.reply(pair.server.receive(), "NEXT");
  });
  expect_ok(pair.client.call("upper", "next", kPatient), "NEXT");
  served.get();
}

TEST(ClientBounds, a_full_flight_makes_send_take_in_a_reply_first) {
  Pair pair({.max_in_flight = 2});
  const auto first = pair.client.send("upper", "a", kPatient);
  const auto second = pair.client.send("upper", "b", kPatient);
  pair.server.receive();
  pair.server.receive();
  auto sending =
      std::async(std::launch::async, [&] { return pair.client.send("upper", "c", kPatient); });
  EXPECT_TRUE(pair.server.hears_nothing(100ms));
  pair.server.reply(second, Status::ok, "B");
  EXPECT_EQ(pair.server.receive().payload, "c");
  const auto third = sending.get();
  pair.server.reply(third, Status::ok, "C");
  pair.server.reply(first, Status::ok, "A");
  expect_ok(pair.client.wait(first), "A");
  expect_ok(pair.client.wait(second), "B");
  expect_ok(pair.client.wait(third), "C");
}

TEST(ClientBounds, sends_nothing_when_the_flight_is_full_for_the_whole_timeout) {
  Pair pair({.max_in_flight = 1});
  const auto first = pair.client.send("upper", "a", kPatient);
  EXPECT_EQ(pair.server.receive().payload, "a");
  const auto second = pair.client.send("upper", "b", {.timeout = 50ms});
  EXPECT_EQ(pair.client.wait(second).state, CallState::timed_out);
  pair.server.reply(first, Status::ok, "A");
  expect_ok(pair.client.wait(first), "A");
  const auto third = pair.client.send("upper", "c", kPatient);
  EXPECT_EQ(pair.server.receive().payload, "c");
  pair.server.reply(third, Status::ok, "C");
  expect_ok(pair.client.wait(third), "C");
}

}  // namespace
}  // namespace evpool
