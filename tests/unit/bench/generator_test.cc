// The load generator against servers that answer, in every way: every request is accounted for.
// What only some ways have is in generator_{open_loop,reconnect,udp}_test.cc; how a run ends, in
// generator_end_test.cc.
#include "bench/load/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/delaying_server.h"
#include "tests/unit/bench/load_testing.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

class Generator : public testing::TestWithParam<Way> {
 protected:
  // In an open loop, as many requests as a slow machine can serve, too; and less in flight than a
  // UDP socket has room for.
  [[nodiscard]] LoadOptions options_for(const Address& server) const {
    LoadOptions options = all_measured(server, GetParam().transport);
    if (!open) return options;
    options.rate = 1'000;
    options.in_flight = 60;
    return options;
  }

  const bool udp = GetParam().transport == Transport::udp;
  const bool open = GetParam().open_loop;
};
INSTANTIATE_TEST_SUITE_P(Over, Generator, kEveryWay, name_of_way);

TEST_P(Generator, an_honest_server_makes_every_request_ok) {
  for (const std::size_t in_flight : {1U, 7U}) {
    AnsweringServer server(udp, honest);
    LoadOptions options = options_for(server.address());
    options.connections = 3;
    options.in_flight = in_flight;
    const LoadResult result = run_load(options);
    server.stop();
    expect_balance(result);
    expect_no_strays(result.account);
    // Of an open loop, on a busy machine, some may find no place in flight.
    EXPECT_GE(open ? result.account.scheduled : result.account.sent, open ? 30 : 3 * in_flight);
    EXPECT_GT(result.account.sent, 0U);
    EXPECT_EQ(result.account.sent, server.requests());
    EXPECT_EQ(result.account.ok, result.account.sent);
    EXPECT_FALSE(result.interrupted);
  }
}

TEST_P(Generator, sends_for_the_whole_duration) {
  AnsweringServer server(udp, honest);
  LoadOptions options = options_for(server.address());
  options.arrivals = Arrivals::constant;
  options.duration = 150ms;
  const auto begin = std::chrono::steady_clock::now();
  const LoadResult result = run_load(options);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, options.duration);
  // The last one of an open loop is due a step before the end, which is part of the time as well.
  EXPECT_GE(result.seconds, 0.150);
  EXPECT_GE(result.sending_s, 0.150);
  EXPECT_EQ(result.silent_s, 0);
  EXPECT_DOUBLE_EQ(result.jobs_per_second(),
                   static_cast<double>(result.account.ok) / result.seconds);
  EXPECT_GT(result.cpu_seconds, 0);
  EXPECT_GT(result.send_calls, 0U);
  EXPECT_GT(result.receive_calls, 0U);
  if (open) {
    EXPECT_NEAR(static_cast<double>(result.account.scheduled), 149.5, 1);
  }
}

TEST_P(Generator, keeps_no_more_in_flight_than_was_asked_for) {
  std::set<std::uint64_t> ids;
  AnsweringServer server(udp, [&](const Frame& request) {
    EXPECT_TRUE(ids.insert(request.header.id).second) << "an id was used twice";
    return mute(request);
  });
  LoadOptions options = options_for(server.address());
  options.connections = 3;
  options.in_flight = 5;
  // No request makes room for another before the time to send is over.
  options.duration = 20ms;
  options.timeout = 100ms;
  if (open) options.rate = 100'000;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.sent, 15U);
  EXPECT_EQ(server.requests(), 15U);
  EXPECT_EQ(result.account.lost, 15U);
  if (!open) {
    EXPECT_EQ(result.account.skipped, 0U);
    return;
  }
  // 2,000 were due.
  EXPECT_NEAR(static_cast<double>(result.account.scheduled), 2'000, 5 * std::sqrt(2'000));
  EXPECT_TRUE(is_invalid_for(result, "were due and never sent"));
}

TEST_P(Generator, fills_its_places_in_flight_and_no_more_while_the_server_thinks) {
  DelayingServer server(udp, [](std::size_t) { return 5ms; });
  LoadOptions options = options_for(server.address());
  options.connections = 3;
  options.in_flight = 4;
  if (open) options.rate = 5'000;
  // Twenty times each place: however long the machine pauses, it is full at some time.
  options.duration = kNeverLate;
  options.count = 240;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(server.most_at_once(), 12U);
  EXPECT_EQ(result.account.ok, 240U);
}

TEST_P(Generator, sends_the_job_and_payload_asked_for) {
  std::set<std::string> payloads;
  AnsweringServer server(udp, [&](const Frame& request) {
    EXPECT_EQ(request.name, "thumbnail");
    EXPECT_EQ(request.payload.size(), 100U);
    EXPECT_EQ(request.header.timeout_ms, 60'000U);
    EXPECT_EQ(request.header.priority, Priority::low);
    payloads.insert(request.payload);
    // For this job nobody knows what is right.
    return Answer{.payload = "whatever"};
  });
  LoadOptions options = options_for(server.address());
  options.mix = {{.job = "thumbnail", .size = {.least = 100, .most = 100}, .payload = {}}};
  options.priority = Priority::low;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_GT(result.account.ok, 0U);
  EXPECT_EQ(result.account.ok, result.account.sent);
  EXPECT_GE(payloads.size(), 2U) << "a reply to another request would not be seen";
}

TEST_P(Generator, sends_a_mix_and_a_deadline) {
  std::uint64_t echoes = 0;
  AnsweringServer server(udp, [&](const Frame& request) {
    EXPECT_EQ(request.header.timeout_ms, 1'234U);
    echoes += request.name == "echo" ? 1 : 0;
    if (request.name == "upper") return honest(request);
    EXPECT_EQ(request.payload, "AbC");
    return Answer{.payload = request.payload};
  });
  LoadOptions options = options_for(server.address());
  options.mix = {{.job = "upper", .weight = 3, .size = {}, .payload = {}},
                 {.job = "echo", .weight = 1, .size = {}, .payload = "AbC"}};
  options.deadline = 1'234ms;
  options.count = 100;
  options.duration = kNeverLate;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.ok, 100U);
  EXPECT_NEAR(static_cast<double>(echoes), 25, 5 * std::sqrt(100 * 0.25 * 0.75));
}

TEST_P(Generator, an_echo_must_be_the_same) {
  AnsweringServer same(udp,
                       [](const Frame& request) { return Answer{.payload = request.payload}; });
  LoadOptions options = options_for(same.address());
  options.mix[0].job = "echo";
  const LoadResult right = run_load(options);
  expect_balance(right);
  EXPECT_GT(right.account.ok, 0U);
  EXPECT_EQ(right.account.ok, right.account.sent);

  AnsweringServer changed(udp, honest);
  options.server = changed.address();
  const LoadResult wrong = run_load(options);
  expect_balance(wrong);
  EXPECT_GT(wrong.account.wrong, 0U);
  EXPECT_EQ(wrong.account.wrong, wrong.account.sent);
  EXPECT_TRUE(is_invalid_for(wrong, "no reply was ok"));

  options.verify = false;
  const LoadResult unverified = run_load(options);
  EXPECT_GT(unverified.account.ok, 0U);
  EXPECT_EQ(unverified.account.wrong, 0U);
}

TEST_P(Generator, an_empty_payload_is_measured_too) {
  AnsweringServer server(udp, honest);
  LoadOptions options = options_for(server.address());
  options.mix[0].size = {.least = 0, .most = 0};
  const LoadResult result = run_load(options);
  expect_balance(result);
  EXPECT_GT(result.account.ok, 0U);
  EXPECT_EQ(result.account.ok, result.account.sent);
}

TEST(TcpGenerator, large_payloads_are_measured_too) {
  // More than the sockets hold.
  AnsweringServer server(false, honest);
  LoadOptions options = all_measured(server.address(), Transport::tcp);
  options.mix[0].size = {.least = 2U << 20U, .most = 2U << 20U};
  options.connections = 2;
  options.in_flight = 4;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_GE(result.account.ok, 8U);
  EXPECT_EQ(result.account.ok, result.account.sent);
  EXPECT_EQ(result.account.sent, server.requests());
}

TEST_P(Generator, every_status_is_counted_for_itself) {
  std::array<std::uint64_t, kStatusCount> answered{};
  std::uint8_t next = 0;
  AnsweringServer server(udp, [&](const Frame& request) {
    const auto status = static_cast<Status>(next++ % kStatusCount);
    ++answered.at(static_cast<std::size_t>(status));
    if (status == Status::ok) return honest(request);
    return Answer{.status = status, .payload = "a sentence"};
  });
  const LoadResult result = run_load(options_for(server.address()));
  server.stop();
  expect_balance(result);
  const Account& account = result.account;
  EXPECT_GT(account.all_refused(), 8U);
  EXPECT_EQ(account.ok, answered[0]);
  for (std::size_t i = 1; i < kStatusCount; ++i) EXPECT_EQ(account.refused[i], answered.at(i)) << i;
  EXPECT_EQ(account.wrong, 0U);
  EXPECT_EQ(account.lost, 0U);
}

TEST_P(Generator, every_tenth_wrong_payload_is_counted_as_wrong) {
  AnsweringServer server(udp, EveryTenth({.payload = "the reply to another request"}));
  LoadOptions options = options_for(server.address());
  options.in_flight = 20;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.sent, server.requests());
  EXPECT_GT(result.account.wrong, 0U);
  EXPECT_EQ(result.account.wrong, server.requests() / 10);
  EXPECT_EQ(result.account.ok, result.account.sent - result.account.wrong);
}

TEST_P(Generator, the_payload_of_another_reply_is_wrong) {
  std::string previous = "none yet";
  AnsweringServer server(udp, [&](const Frame& request) {
    return Answer{.payload = std::exchange(previous, upper(request.payload))};
  });
  const LoadResult result = run_load(options_for(server.address()));
  expect_balance(result);
  EXPECT_GT(result.account.wrong, 0U);
  EXPECT_EQ(result.account.wrong, result.account.sent);
}

TEST_P(Generator, every_tenth_unanswered_is_counted_as_lost) {
  AnsweringServer server(udp, EveryTenth({.action = Answer::Action::drop}));
  LoadOptions options = options_for(server.address());
  options.in_flight = 20;
  // Far more than a reply takes, so that nothing else is lost.
  options.timeout = 300ms;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  expect_no_strays(result.account);
  EXPECT_EQ(result.account.sent, server.requests());
  EXPECT_GT(result.account.lost, 0U);
  EXPECT_EQ(result.account.lost, server.requests() / 10);
  EXPECT_EQ(result.account.ok, result.account.sent - result.account.lost);
}

TEST_P(Generator, a_server_that_never_replies_loses_all_and_the_run_goes_on) {
  AnsweringServer server(udp, mute);
  LoadOptions options = options_for(server.address());
  options.in_flight = 2;
  options.duration = 100ms;
  options.timeout = 20ms;
  const LoadResult result = run_load(options);
  expect_balance(result);
  EXPECT_EQ(result.account.lost, result.account.sent);
  EXPECT_GT(result.account.sent, 2U) << "a lost request must make room for the next";
  EXPECT_EQ(result.jobs_per_second(), 0.0);
  EXPECT_GE(result.seconds, 0.1);
  EXPECT_TRUE(is_invalid_for(result, "no reply was ok"));
}

TEST_P(Generator, a_reply_to_a_lost_request_is_late_and_not_the_next_one_s) {
  // Each request comes when the one before it is lost, and is answered with the reply to that one.
  std::optional<Answer> late;
  AnsweringServer server(udp, [&](const Frame& request) {
    return std::exchange(late, Answer{.payload = upper(request.payload), .id = request.header.id})
        .value_or(mute(request));
  });
  LoadOptions options = options_for(server.address());
  options.in_flight = 1;
  options.duration = kNeverLate;
  options.count = 4;
  options.timeout = 40ms;
  const LoadResult result = run_load(options);
  expect_balance(result);
  EXPECT_EQ(result.account.sent, 4U);
  EXPECT_EQ(result.account.lost, 4U);
  EXPECT_EQ(result.account.late, 3U);
  EXPECT_EQ(result.account.duplicates, 0U);
  EXPECT_EQ(result.account.unknown, 0U);
}

TEST_P(Generator, a_second_reply_to_a_request_is_a_duplicate) {
  // Every tenth request is answered with the reply to the one before it, which has had its own.
  Answer previous;
  std::uint64_t requests = 0;
  AnsweringServer server(udp, [&](const Frame& request) {
    if (++requests % 10 == 0) return previous;
    previous = {.payload = upper(request.payload), .id = request.header.id};
    return previous;
  });
  LoadOptions options = options_for(server.address());
  options.in_flight = 1;
  options.duration = kNeverLate;
  options.count = 20;
  options.timeout = 150ms;
  const LoadResult result = run_load(options);
  expect_balance(result);
  EXPECT_EQ(result.account.ok, 18U);
  EXPECT_EQ(result.account.lost, 2U);
  EXPECT_EQ(result.account.duplicates, 2U);
  EXPECT_EQ(result.account.late, 0U);
  EXPECT_EQ(result.account.unknown, 0U);
}

TEST_P(Generator, a_reply_to_what_was_never_asked_is_unknown) {
  AnsweringServer server(udp, [&](const Frame& request) {
    return Answer{.payload = upper(request.payload), .id = request.header.id ^ 1};
  });
  LoadOptions options = options_for(server.address());
  options.in_flight = 8;
  options.duration = kNeverLate;
  options.count = 20;
  options.timeout = 100ms;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.lost, 20U);
  EXPECT_EQ(result.account.unknown, 20U);
  EXPECT_EQ(result.account.late, 0U);
  EXPECT_EQ(result.account.duplicates, 0U);
}

TEST_P(Generator, what_was_due_in_the_warm_up_is_not_measured) {
  AnsweringServer server(udp, EveryTenth({.status = Status::busy}));
  LoadOptions options = options_for(server.address());
  options.warm_up = 100ms;
  options.duration = 100ms;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_GT(result.account.sent, 0U);
  EXPECT_GT(server.requests(), result.account.sent);
  EXPECT_LE(result.account.all_refused(), server.requests() / 10);
  if (open) {
    EXPECT_NEAR(static_cast<double>(result.account.scheduled), 100, 5 * std::sqrt(100));
    EXPECT_NEAR(static_cast<double>(server.requests()), 200, 5 * std::sqrt(200));
  }
}

TEST_P(Generator, its_own_cost_in_the_warm_up_is_not_counted) {
  AnsweringServer server(udp, honest);
  LoadOptions options = options_for(server.address());
  options.in_flight = 1;
  options.warm_up = 500ms;
  options.duration = 50ms;
  const LoadResult result = run_load(options);
  ASSERT_GT(result.account.sent, 0U);
  // One of each for a request is what it takes at most, but for those at both ends.
  EXPECT_LE(result.send_calls, result.account.sent + 10);
  EXPECT_GT(result.send_calls, 0U);
  EXPECT_LT(result.receive_calls, server.requests());
}

TEST_P(Generator, a_ramp_is_not_measured) {
  AnsweringServer server(udp, honest);
  LoadOptions options = options_for(server.address());
  options.connections = 4;
  options.in_flight = open ? 60 : 1;
  options.ramp = 100ms;
  options.duration = 100ms;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_GT(server.requests(), result.account.sent);
  EXPECT_EQ(result.account.ok, result.account.sent);
  if (open) {  // half as many as in the same time after it
    EXPECT_NEAR(static_cast<double>(server.requests()), 150, 5 * std::sqrt(150));
  }
}

TEST_P(Generator, no_latency_is_zero) {
  AnsweringServer server(udp, honest);
  LoadOptions options = options_for(server.address());
  options.connections = 2;
  options.in_flight = 10;
  const LoadResult result = run_load(options);
  ASSERT_GT(result.latency.count(), 0U);
  for (const LatencyHistogram* const histogram : {&result.latency, &result.service}) {
    std::uint64_t previous_ns = 1;
    for (const double percent : {0.001, 1.0, 50.0, 99.0, 99.9, 100.0}) {
      EXPECT_GE(histogram->percentile_ns(percent), previous_ns) << percent;
      previous_ns = histogram->percentile_ns(percent);
    }
    EXPECT_EQ(histogram->max_ns(), previous_ns);
  }
}

TEST_P(Generator, counts_exactly_and_shares_the_count_among_threads) {
  for (const std::size_t threads : {1U, 3U}) {
    for (const std::uint64_t count : {0U, 2U, 40U}) {
      SCOPED_TRACE(count);
      AnsweringServer server(udp, honest);
      LoadOptions options = options_for(server.address());
      options.threads = threads;
      options.connections = 5;
      options.in_flight = 4;
      options.duration = kNeverLate;
      options.count = count;
      const LoadResult result = run_load(options);
      server.stop();
      expect_balance(result);
      EXPECT_EQ(result.account.scheduled, count);
      EXPECT_EQ(result.account.ok, count);
      EXPECT_EQ(server.requests(), count);
    }
  }
}

TEST_P(Generator, the_count_is_of_measured_requests) {
  AnsweringServer server(udp, honest);
  LoadOptions options = options_for(server.address());
  options.warm_up = 50ms;
  options.duration = kNeverLate;
  options.count = 20;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.sent, 20U);
  EXPECT_GT(server.requests(), 20U);
}

TEST_P(Generator, threads_share_connections_and_rate) {
  AnsweringServer server(udp, EveryTenth({.status = Status::busy}));
  LoadOptions options = options_for(server.address());
  options.threads = 3;
  options.connections = 7;
  options.in_flight = 5;
  options.interval = 20ms;
  options.duration = 100ms;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  expect_no_strays(result.account);
  EXPECT_EQ(result.account.sent, server.requests());
  EXPECT_EQ(result.account.all_refused(), server.requests() / 10);
  EXPECT_GE(result.series.size(), 5U);
  if (open) {
    EXPECT_NEAR(static_cast<double>(result.account.scheduled), 100, 5 * std::sqrt(100));
  }
}

TEST_P(Generator, intervals_follow_each_other_while_the_run_goes_on) {
  AnsweringServer server(udp, honest);
  LoadOptions options = options_for(server.address());
  options.interval = 30ms;
  options.duration = 150ms;
  std::vector<Progress> seen;
  RunControl control;
  control.on_interval = [&](const Progress& progress) { seen.push_back(progress); };
  const LoadResult result = run_load(options, control);
  expect_balance(result);
  ASSERT_EQ(seen.size(), result.series.size());
  ASSERT_GE(seen.size(), 5U);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_NEAR(seen[i].interval.begin_s, 0.03 * static_cast<double>(i), 1e-9);
    EXPECT_EQ(seen[i].interval.length_s, 0.03);
    EXPECT_NEAR(seen[i].left_s, std::max(0.0, 0.12 - 0.03 * static_cast<double>(i)), 1e-9);
    EXPECT_EQ(seen[i].interval.sent, result.series[i].sent);
  }
  EXPECT_EQ(result.series.back().in_flight, 0U);
}

}  // namespace
}  // namespace evpool::bench
