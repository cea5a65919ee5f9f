// What the load generator makes of a real evpoold that stands still for a second: an open loop
// reports what everybody saw who came in that second, a closed loop only what it did itself.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "bench/load/dialect.h"
#include "bench/load/generator.h"
#include "tests/integration/program.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Stalled {
  LoadResult result;
  std::chrono::duration<double> stall{};  // how long it lasted at least
};

// Stops the server after a quarter of a second, and lets it go on a second later.
Stalled run_with_a_stall(LoadOptions options) {
  Daemon daemon({"--queue", "4096"});
  options.server = {"127.0.0.1", daemon.port("tcp")};
  options.warm_up = 0ms;
  options.duration = 1'600ms;
  options.timeout = 30s;
  options.interval = 250ms;
  Stalled stalled;
  Clock::time_point stopped;
  RunControl control;
  control.on_interval = [&](const Progress& progress) {
    if (progress.interval.begin_s == 0) {
      daemon.program().signal(SIGSTOP);
      stopped = Clock::now();
    } else if (progress.interval.begin_s == 1) {
      stalled.stall = Clock::now() - stopped;
      daemon.program().signal(SIGCONT);
    }
  };
  stalled.result = run_load(options, *make_frame_dialect(), control);
  return stalled;
}

// Requests that took longer, as far as the histogram knows.
std::uint64_t slower_than(const LatencyHistogram& histogram, std::chrono::nanoseconds limit) {
  std::uint64_t count = 0;
  for (std::size_t bucket = 1; bucket < LatencyHistogram::buckets(); ++bucket) {
    if (LatencyHistogram::last_value_of(bucket - 1) >= static_cast<std::uint64_t>(limit.count())) {
      count += histogram.count_in(bucket);
    }
  }
  return count;
}

TEST(Stall, an_open_loop_counts_everybody_who_had_to_wait) {
  LoadOptions options;
  options.rate = 500;
  options.arrivals = Arrivals::constant;
  options.in_flight = 2'000;
  const auto [result, stall] = run_with_a_stall(options);
  const Account& account = result.account;
  EXPECT_TRUE(account.balances());
  EXPECT_EQ(account.ok, account.scheduled) << "the server's stall loses nothing";
  ASSERT_GT(stall, 500ms);
  // Whoever was due in the stall, but for its last 100 ms, waited that long; 2 % for the bucket at
  // the limit and the moment in which a signal is delivered.
  EXPECT_GE(static_cast<double>(slower_than(result.latency, 100ms)),
            0.98 * 500 * (stall.count() - 0.1));
  EXPECT_GE(static_cast<double>(slower_than(result.latency, 500ms)),
            0.98 * 500 * (stall.count() - 0.5));
  EXPECT_GE(static_cast<double>(result.latency.max_ns()), 0.98e9 * stall.count());
  // And with the usual length of a second:
  if (stall > 900ms) {
    EXPECT_GE(slower_than(result.latency, 100ms), 300U);
    EXPECT_GE(result.latency.max_ns(), 880'000'000U);
    EXPECT_GE(result.latency.percentile_ns(90), 500'000'000U);
  }
}

TEST(Stall, an_open_loop_without_free_places_counts_them_as_well) {
  // The waiting is done in the generator: what is due meanwhile is sent late, and counts from when
  // it was due.
  LoadOptions options;
  options.rate = 500;
  options.arrivals = Arrivals::constant;
  options.in_flight = 4;
  const auto [result, stall] = run_with_a_stall(options);
  EXPECT_TRUE(result.account.balances());
  EXPECT_EQ(result.account.ok, result.account.sent);
  ASSERT_GT(stall, 500ms);
  EXPECT_GE(static_cast<double>(result.held_back), 0.9 * 500 * stall.count());
  EXPECT_GE(static_cast<double>(slower_than(result.latency, 100ms)),
            0.98 * 500 * (stall.count() - 0.1));
  // Four were on their way.
  EXPECT_LE(slower_than(result.service, 500ms), 8U);
}

TEST(Stall, a_closed_loop_with_one_in_flight_hides_it_but_for_one_request) {
  const auto [result, stall] = run_with_a_stall({});
  EXPECT_TRUE(result.account.balances());
  EXPECT_EQ(result.account.ok, result.account.sent);
  EXPECT_GT(result.account.ok, 10U);
  ASSERT_GT(stall, 500ms);
  EXPECT_EQ(slower_than(result.latency, 490ms), 1U);
  EXPECT_GE(static_cast<double>(result.latency.max_ns()), 0.98e9 * stall.count());
}

}  // namespace
}  // namespace evpool::bench
