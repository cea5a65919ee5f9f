// That the latencies the load generator reports are those there were: against a server that keeps
// each reply back for a known time.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/bench/delaying_server.h"
#include "tests/unit/bench/load_testing.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

// Beside the server's delay there are two passages of the loopback and two wake-ups. This is far
// more than those take, on a machine with other work to do, too, and little beside the delays.
constexpr std::uint64_t kLoopback_ns = 10'000'000;
// And a percentile may be as large as the delays' a little higher: for what a pause of the machine
// made longer.
constexpr double kShare = 5;

// Delays with a long tail: 10 ms and more, half above 25 ms, one in a hundred above 100 ms.
DelayingServer::DelayOf long_tailed(std::uint64_t seed) {
  return [random = std::mt19937_64(seed),
          beyond = std::exponential_distribution<double>(std::log(2) / 15)](std::size_t) mutable {
    return std::chrono::microseconds(
        static_cast<std::int64_t>(1'000 * std::min(10 + beyond(random), 150.0)));
  };
}

std::uint64_t percentile_of(const std::vector<std::chrono::nanoseconds>& sorted, double percent) {
  const auto rank =
      static_cast<std::size_t>(std::ceil(percent * static_cast<double>(sorted.size()) / 100));
  return static_cast<std::uint64_t>(sorted.at(std::max<std::size_t>(rank, 1) - 1).count());
}

void expect_calibrated(const LatencyHistogram& found, std::vector<std::chrono::nanoseconds> given) {
  std::sort(given.begin(), given.end());
  ASSERT_EQ(found.count(), given.size());
  for (int percent = 1; percent <= 100; ++percent) {
    // Never less: each request took longer than it was kept back, and so the shortest, and so on.
    EXPECT_GE(found.percentile_ns(percent), percentile_of(given, percent)) << percent;
  }
  for (int percent = 5; percent <= 90; percent += 5) {
    const std::uint64_t given_ns = percentile_of(given, percent + kShare) + kLoopback_ns;
    EXPECT_LE(found.percentile_ns(percent), given_ns + given_ns / LatencyHistogram::kSubBuckets)
        << percent;
  }
  EXPECT_GE(found.max_ns(), percentile_of(given, 100));
}

class Calibration : public testing::TestWithParam<Transport> {
 protected:
  const bool udp = GetParam() == Transport::udp;
};
INSTANTIATE_TEST_SUITE_P(Over, Calibration, testing::Values(Transport::tcp, Transport::udp),
                         [](const auto& over) {
                           return over.param == Transport::udp ? "udp" : "tcp";
                         });

TEST_P(Calibration, an_open_loop_reports_the_delays_there_were) {
  DelayingServer server(udp, long_tailed(1));
  LoadOptions options = all_measured(server.address(), GetParam());
  options.connections = 3;
  options.in_flight = 300;
  options.rate = 600;
  options.duration = 500ms;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.ok, result.account.sent);
  EXPECT_EQ(result.held_back, 0U);
  expect_calibrated(result.service, server.delays());
  expect_calibrated(result.latency, server.delays());
}

TEST_P(Calibration, a_closed_loop_reports_the_delays_there_were) {
  DelayingServer server(udp, long_tailed(2));
  LoadOptions options = all_measured(server.address(), GetParam());
  options.connections = 4;
  options.threads = 2;
  options.in_flight = 5;
  options.duration = 400ms;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.ok, result.account.sent);
  expect_calibrated(result.service, server.delays());
  expect_calibrated(result.latency, server.delays());
}

// Two groups of replies, and nothing between them: each request is counted where it belongs.
TEST_P(Calibration, a_slow_tenth_is_a_tenth) {
  DelayingServer server(udp, [](std::size_t i) { return i % 10 == 9 ? 150ms : 5ms; });
  LoadOptions options = all_measured(server.address(), GetParam());
  options.in_flight = 200;
  options.rate = 500;
  options.duration = kNeverLate;
  options.count = 200;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  std::uint64_t slow = 0;
  for (std::size_t bucket = 0; bucket < LatencyHistogram::buckets(); ++bucket) {
    if (LatencyHistogram::last_value_of(bucket) >= 150'000'000) {
      slow += result.service.count_in(bucket);
    }
  }
  EXPECT_GE(slow, 20U);
  EXPECT_LE(slow, 20U + 10U);  // more only by a pause of 145 ms
  EXPECT_LT(result.service.percentile_ns(50), 75'000'000U);
  EXPECT_GE(result.service.percentile_ns(91), 150'000'000U);
}

// One place in flight, twice as many requests as it can serve: the server is as quick as ever to
// each of them, and whoever waits sees it not.
TEST_P(Calibration, waiting_for_a_place_is_in_the_latency_and_not_in_the_service) {
  DelayingServer server(udp, [](std::size_t) { return 10ms; });
  LoadOptions options = all_measured(server.address(), GetParam());
  options.rate = 200;
  options.arrivals = Arrivals::constant;
  options.duration = 400ms;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  expect_calibrated(result.service, server.delays());
  // The n-th is due after 5 n ms and sent after 10 n ms: the middle one of 40 waits 100 ms.
  ASSERT_GE(result.account.ok, 10U);
  const double last = static_cast<double>(result.account.ok);
  EXPECT_GE(static_cast<double>(result.latency.percentile_ns(50)), 0.9 * last / 2 * 5e6);
  EXPECT_GE(static_cast<double>(result.latency.max_ns()), 0.9 * last * 5e6);
}

}  // namespace
}  // namespace evpool::bench
