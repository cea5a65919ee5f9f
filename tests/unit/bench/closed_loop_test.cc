#include "bench/closed_loop.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "client/client.h"
#include "tests/unit/bench/answering_server.h"
#include "tests/unit/client/fake_server.h"

namespace evpool {
namespace {

using namespace std::chrono_literals;

// Longer than any reply takes: nothing is lost by being late. No run waits for it.
constexpr std::chrono::milliseconds kNeverLate = 60s;

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

Answer honest(const Frame& request) { return {.payload = upper(request.payload)}; }

// Gives every tenth request, from the tenth on, another answer.
class EveryTenth {
 public:
  explicit EveryTenth(Answer other) : other_(std::move(other)) {}

  Answer operator()(const Frame& request) {
    if (++*requests_ % 10 != 0) return honest(request);
    return other_;
  }

 private:
  Answer other_;
  std::shared_ptr<std::uint64_t> requests_ = std::make_shared<std::uint64_t>(0);
};

// Without a warm-up everything sent is measured, so that the server's count is the client's.
ClosedLoopOptions all_measured(const AnsweringServer& server, bool udp) {
  return {.server = server.address(),
          .udp = udp,
          .duration = 150ms,
          .warm_up = 0ms,
          .timeout = kNeverLate};
}

void expect_balance(const ClosedLoopResult& result) {
  EXPECT_EQ(result.sent, result.ok + result.refused + result.wrong + result.lost);
  EXPECT_EQ(result.latency.count(), result.ok);
}

class ClosedLoop : public testing::TestWithParam<bool> {
 protected:
  const bool udp = GetParam();
};
INSTANTIATE_TEST_SUITE_P(Over, ClosedLoop, testing::Values(false, true),
                         [](const auto& over) { return over.param ? "udp" : "tcp"; });

TEST_P(ClosedLoop, an_honest_server_makes_every_request_ok) {
  for (const std::size_t in_flight : {1U, 7U}) {
    AnsweringServer server(udp, honest);
    ClosedLoopOptions options = all_measured(server, udp);
    options.connections = 3;
    options.in_flight = in_flight;
    const ClosedLoopResult result = run_closed_loop(options);
    server.stop();
    expect_balance(result);
    EXPECT_GE(result.sent, 3 * in_flight);
    EXPECT_EQ(result.sent, server.requests());
    EXPECT_EQ(result.ok, result.sent);
  }
}

TEST_P(ClosedLoop, sends_for_the_whole_duration) {
  AnsweringServer server(udp, honest);
  const ClosedLoopOptions options = all_measured(server, udp);
  const auto begin = std::chrono::steady_clock::now();
  const ClosedLoopResult result = run_closed_loop(options);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, options.duration);
  EXPECT_GE(result.seconds, 0.150);
  EXPECT_DOUBLE_EQ(result.jobs_per_second(), static_cast<double>(result.ok) / result.seconds);
}

TEST_P(ClosedLoop, keeps_as_many_in_flight_as_was_asked_for) {
  std::set<std::uint64_t> ids;
  AnsweringServer server(udp, [&](const Frame& request) {
    EXPECT_TRUE(ids.insert(request.header.id).second) << "an id was used twice";
    return Answer{.action = Answer::Action::drop};
  });
  ClosedLoopOptions options = all_measured(server, udp);
  options.connections = 3;
  options.in_flight = 5;
  // No request makes room for another before the time to send is over.
  options.duration = 20ms;
  options.timeout = 200ms;
  const ClosedLoopResult result = run_closed_loop(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.sent, 15U);
  EXPECT_EQ(server.requests(), 15U);
  EXPECT_EQ(result.lost, 15U);
}

TEST_P(ClosedLoop, sends_the_job_and_payload_asked_for) {
  std::set<std::string> payloads;
  AnsweringServer server(udp, [&](const Frame& request) {
    EXPECT_EQ(request.name, "thumbnail");
    EXPECT_EQ(request.payload.size(), 100U);
    EXPECT_EQ(request.header.timeout_ms, 60'000U);
    payloads.insert(request.payload);
    // For this job nobody knows what is right.
    return Answer{.payload = "whatever"};
  });
  ClosedLoopOptions options = all_measured(server, udp);
  options.job = "thumbnail";
  options.payload_bytes = 100;
  options.in_flight = 2;
  const ClosedLoopResult result = run_closed_loop(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.ok, result.sent);
  EXPECT_GE(payloads.size(), 2U) << "a reply to another request would not be seen";
}

TEST_P(ClosedLoop, an_echo_must_be_the_same) {
  AnsweringServer same(udp,
                       [](const Frame& request) { return Answer{.payload = request.payload}; });
  ClosedLoopOptions options = all_measured(same, udp);
  options.job = "echo";
  const ClosedLoopResult right = run_closed_loop(options);
  expect_balance(right);
  EXPECT_GT(right.ok, 0U);
  EXPECT_EQ(right.ok, right.sent);

  AnsweringServer changed(udp, honest);
  options.server = changed.address();
  const ClosedLoopResult wrong = run_closed_loop(options);
  expect_balance(wrong);
  EXPECT_GT(wrong.wrong, 0U);
  EXPECT_EQ(wrong.wrong, wrong.sent);
}

TEST_P(ClosedLoop, an_empty_payload_is_measured_too) {
  AnsweringServer server(udp, honest);
  ClosedLoopOptions options = all_measured(server, udp);
  options.payload_bytes = 0;
  const ClosedLoopResult result = run_closed_loop(options);
  expect_balance(result);
  EXPECT_GT(result.ok, 0U);
  EXPECT_EQ(result.ok, result.sent);
}

TEST(TcpClosedLoop, large_payloads_are_measured_too) {
  // More than the sockets hold.
  AnsweringServer server(false, honest);
  ClosedLoopOptions options = all_measured(server, false);
  options.payload_bytes = std::size_t{2} << 20U;
  options.connections = 2;
  options.in_flight = 4;
  const ClosedLoopResult result = run_closed_loop(options);
  server.stop();
  expect_balance(result);
  EXPECT_GE(result.ok, 8U);
  EXPECT_EQ(result.ok, result.sent);
  EXPECT_EQ(result.sent, server.requests());
}

TEST_P(ClosedLoop, every_tenth_busy_is_counted_as_refused) {
  AnsweringServer server(udp, EveryTenth({.status = Status::busy, .payload = "try again later"}));
  ClosedLoopOptions options = all_measured(server, udp);
  options.in_flight = 20;
  const ClosedLoopResult result = run_closed_loop(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.sent, server.requests());
  EXPECT_GT(result.refused, 0U);
  EXPECT_EQ(result.refused, server.requests() / 10);
  EXPECT_EQ(result.wrong, 0U);
  EXPECT_EQ(result.lost, 0U);
}

TEST_P(ClosedLoop, every_tenth_wrong_payload_is_counted_as_wrong) {
  AnsweringServer server(udp, EveryTenth({.payload = "the reply to another request"}));
  ClosedLoopOptions options = all_measured(server, udp);
  options.in_flight = 20;
  const ClosedLoopResult result = run_closed_loop(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.sent, server.requests());
  EXPECT_GT(result.wrong, 0U);
  EXPECT_EQ(result.wrong, server.requests() / 10);
  EXPECT_EQ(result.refused, 0U);
  EXPECT_EQ(result.lost, 0U);
}

TEST_P(ClosedLoop, the_reply_to_another_request_is_wrong) {
  std::string previous = "none yet";
  AnsweringServer server(udp, [&](const Frame& request) {
    return Answer{.payload = std::exchange(previous, upper(request.payload))};
  });
  const ClosedLoopResult result = run_closed_loop(all_measured(server, udp));
  expect_balance(result);
  EXPECT_GT(result.wrong, 0U);
  EXPECT_EQ(result.wrong, result.sent);
}

TEST(UdpClosedLoop, every_tenth_dropped_is_counted_as_lost) {
  AnsweringServer server(true, EveryTenth({.action = Answer::Action::drop}));
  ClosedLoopOptions options = all_measured(server, true);
  options.in_flight = 20;
  // Far more than a reply takes, so that nothing else is lost.
  options.timeout = 2s;
  const ClosedLoopResult result = run_closed_loop(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.sent, server.requests());
  EXPECT_GT(result.lost, 0U);
  EXPECT_EQ(result.lost, server.requests() / 10);
  EXPECT_EQ(result.ok, result.sent - result.lost);
}

TEST_P(ClosedLoop, a_server_that_never_replies_loses_all_and_the_loop_goes_on) {
  AnsweringServer server(udp, [](const Frame&) { return Answer{.action = Answer::Action::drop}; });
  ClosedLoopOptions options = all_measured(server, udp);
  options.in_flight = 2;
  options.duration = 500ms;
  options.timeout = 20ms;
  const ClosedLoopResult result = run_closed_loop(options);
  expect_balance(result);
  EXPECT_EQ(result.lost, result.sent);
  EXPECT_GT(result.sent, options.in_flight) << "a lost request must make room for the next";
  EXPECT_EQ(result.jobs_per_second(), 0.0);
}

TEST_P(ClosedLoop, a_run_without_a_reply_has_taken_no_negative_time) {
  AnsweringServer server(udp, [](const Frame&) { return Answer{.action = Answer::Action::drop}; });
  ClosedLoopOptions options = all_measured(server, udp);
  options.duration = 20ms;
  options.timeout = 20ms;
  EXPECT_GE(run_closed_loop(options).seconds, 0.0);
}

TEST_P(ClosedLoop, a_late_reply_is_not_taken_for_that_to_the_next_request) {
  // Each request comes when the one before it is lost, and is answered with the reply to that one.
  std::optional<Answer> late;
  AnsweringServer server(udp, [&](const Frame& request) {
    return std::exchange(late, Answer{.payload = upper(request.payload), .id = request.header.id})
        .value_or(Answer{.action = Answer::Action::drop});
  });
  ClosedLoopOptions options = all_measured(server, udp);
  options.duration = 500ms;
  options.timeout = 20ms;
  const ClosedLoopResult result = run_closed_loop(options);
  expect_balance(result);
  EXPECT_GT(result.sent, 1U);
  EXPECT_EQ(result.lost, result.sent);
}

TEST_P(ClosedLoop, what_was_sent_in_the_warm_up_is_not_measured) {
  AnsweringServer server(udp, EveryTenth({.status = Status::busy}));
  ClosedLoopOptions options = all_measured(server, udp);
  options.warm_up = 300ms;
  options.duration = 300ms;
  const ClosedLoopResult result = run_closed_loop(options);
  server.stop();
  expect_balance(result);
  EXPECT_GT(result.sent, 0U);
  EXPECT_GT(server.requests(), result.sent);
  EXPECT_LE(result.refused, server.requests() / 10);
}

TEST_P(ClosedLoop, no_latency_is_zero) {
  AnsweringServer server(udp, honest);
  ClosedLoopOptions options = all_measured(server, udp);
  options.connections = 2;
  options.in_flight = 10;
  const ClosedLoopResult result = run_closed_loop(options);
  ASSERT_GT(result.latency.count(), 0U);
  std::uint64_t previous_ns = 1;
  for (const double percent : {0.001, 1.0, 50.0, 99.0, 99.9, 100.0}) {
    EXPECT_GE(result.latency.percentile_ns(percent), previous_ns) << percent;
    previous_ns = result.latency.percentile_ns(percent);
  }
  EXPECT_EQ(result.latency.max_ns(), previous_ns);
}

TEST_P(ClosedLoop, latency_is_at_least_what_the_server_takes) {
  static constexpr auto kDelay = 5ms;
  AnsweringServer server(udp, [](const Frame& request) {
    std::this_thread::sleep_for(kDelay);
    return honest(request);
  });
  const ClosedLoopResult result = run_closed_loop(all_measured(server, udp));
  expect_balance(result);
  ASSERT_GT(result.ok, 0U);
  constexpr std::uint64_t kDelay_ns = std::chrono::nanoseconds(kDelay).count();
  EXPECT_GE(result.latency.percentile_ns(0.001), kDelay_ns);
  EXPECT_GE(result.latency.percentile_ns(50), kDelay_ns);
  EXPECT_GE(result.latency.mean_ns(), static_cast<double>(kDelay_ns));
}

TEST(TcpClosedLoop, a_server_that_closes_ends_the_run) {
  std::uint64_t requests = 0;
  AnsweringServer server(false, [&](const Frame& request) {
    if (++requests < 10) return honest(request);
    return Answer{.action = Answer::Action::close};
  });
  try {
    static_cast<void>(run_closed_loop(all_measured(server, false)));
    ADD_FAILURE() << "it went on";
  } catch (const ConnectError&) {
    ADD_FAILURE() << "it was connected";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()), "the server closed a connection");
  }
}

TEST(TcpClosedLoop, a_refused_connection_is_a_connect_error) {
  const BoundSocket nobody_listens(Transport::tcp);
  EXPECT_THROW(static_cast<void>(run_closed_loop({.server = nobody_listens.address()})),
               ConnectError);
}

TEST(TcpClosedLoop, a_server_that_speaks_another_protocol_ends_the_run) {
  FakeServer server;
  auto served = std::async(std::launch::async, [&] {
    server.accept();
    server.receive();
    server.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    EXPECT_TRUE(server.hears_the_end(kPatience));
  });
  try {
    static_cast<void>(run_closed_loop({.server = server.address(), .timeout = kNeverLate}));
    ADD_FAILURE() << "it went on";
  } catch (const std::runtime_error& error) {
    EXPECT_TRUE(
        std::string_view(error.what()).starts_with("the server does not speak evpool's protocol: "))
        << error.what();
  }
  served.get();
}

std::string end_against_a_dead_udp_port(std::size_t in_flight) {
  BoundSocket nobody(Transport::udp);
  nobody.refuse_datagrams();
  try {
    static_cast<void>(run_closed_loop({.server = nobody.address(),
                                       .udp = true,
                                       .in_flight = in_flight,
                                       .duration = 200ms,
                                       .warm_up = 0ms,
                                       .timeout = 50ms}));
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "it went on";
}

TEST(UdpClosedLoop, a_dead_server_ends_the_run) {
  EXPECT_EQ(end_against_a_dead_udp_port(1), "lost a connection: Connection refused");
}

TEST(UdpClosedLoop, a_dead_server_ends_the_run_with_several_in_flight_too) {
  EXPECT_EQ(end_against_a_dead_udp_port(2), "lost a connection: Connection refused");
}

}  // namespace
}  // namespace evpool
