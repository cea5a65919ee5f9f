#include "bench/load/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

LoadOptions at_rate(double rate, Arrivals arrivals, std::size_t threads = 1) {
  LoadOptions options;
  options.rate = rate;
  options.arrivals = arrivals;
  options.threads = threads;
  options.seed = 20'261'123;
  return options;
}

// The first `count` of one thread.
std::vector<std::int64_t> first_of(const LoadOptions& options, std::size_t count,
                                   std::size_t thread = 0) {
  ArrivalSchedule schedule(options, thread);
  std::vector<std::int64_t> times_ns;
  for (std::size_t i = 0; i < count; ++i) times_ns.push_back(schedule.next().count());
  return times_ns;
}

// Of all threads, before `until`.
std::vector<std::int64_t> merged(const LoadOptions& options, std::chrono::nanoseconds until) {
  std::vector<std::int64_t> times_ns;
  for (std::size_t thread = 0; thread < options.threads; ++thread) {
    ArrivalSchedule schedule(options, thread);
    for (auto next = schedule.next(); next < until; next = schedule.next()) {
      times_ns.push_back(next.count());
    }
  }
  std::sort(times_ns.begin(), times_ns.end());
  return times_ns;
}

std::vector<double> gaps_of(const std::vector<std::int64_t>& times_ns) {
  std::vector<double> gaps_ns;
  for (std::size_t i = 0; i < times_ns.size(); ++i) {
    gaps_ns.push_back(static_cast<double>(times_ns[i] - (i == 0 ? 0 : times_ns[i - 1])));
  }
  return gaps_ns;
}

// Kolmogorov and Smirnov's distance between the gaps and the exponential distribution, times the
// root of their number. Of Poisson processes, half have more than 0.828, one in ten more
// than 1.224, one in a million more than 2.69.
double exponential_misfit(std::vector<double> gaps_ns, double rate) {
  std::sort(gaps_ns.begin(), gaps_ns.end());
  const auto count = static_cast<double>(gaps_ns.size());
  double distance = 0;
  for (std::size_t i = 0; i < gaps_ns.size(); ++i) {
    const double expected = 1 - std::exp(-gaps_ns[i] * rate / 1e9);
    const auto before = static_cast<double>(i);
    distance = std::max({distance, expected - before / count, (before + 1) / count - expected});
  }
  return distance * std::sqrt(count);
}

// The variance of the counts in `windows` windows, in units of their mean: 1 for a Poisson process,
// within 5 * sqrt(2 / windows).
double dispersion(const std::vector<std::int64_t>& times_ns, std::chrono::nanoseconds length,
                  std::size_t windows) {
  std::vector<double> counts(windows);
  for (const std::int64_t at_ns : times_ns) {
    ++counts.at(static_cast<std::size_t>(at_ns / (length.count() / std::int64_t(windows))));
  }
  const double mean = std::accumulate(counts.begin(), counts.end(), 0.0) / double(windows);
  double squares = 0;
  for (const double count : counts) squares += (count - mean) * (count - mean);
  return squares / double(windows - 1) / mean;
}

double correlation_of_neighbours(const std::vector<double>& gaps) {
  const double mean = std::accumulate(gaps.begin(), gaps.end(), 0.0) / double(gaps.size());
  double together = 0;
  double alone = 0;
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    alone += (gaps[i] - mean) * (gaps[i] - mean);
    if (i > 0) together += (gaps[i] - mean) * (gaps[i - 1] - mean);
  }
  return together / alone;
}

constexpr double kRate = 1'000;
constexpr std::chrono::nanoseconds kLength = 20s;  // 20,000 arrivals
constexpr std::size_t kWindows = 2'000;            // of 10 arrivals
constexpr double kExponential = 2.69;
const double kDispersion = 5 * std::sqrt(2.0 / kWindows);

TEST(PoissonArrivals, gaps_are_exponential_and_counts_disperse_as_poisson_s) {
  for (const std::size_t threads : {1U, 2U, 5U}) {
    SCOPED_TRACE(threads);
    const auto times_ns = merged(at_rate(kRate, Arrivals::poisson, threads), kLength);
    const auto gaps_ns = gaps_of(times_ns);
    EXPECT_NEAR(double(times_ns.size()), 20'000, 5 * std::sqrt(20'000));
    EXPECT_LT(exponential_misfit(gaps_ns, kRate), kExponential);
    EXPECT_NEAR(dispersion(times_ns, kLength, kWindows), 1, kDispersion);
    EXPECT_NEAR(correlation_of_neighbours(gaps_ns), 0, 5 / std::sqrt(20'000));
  }
}

// One schedule can look odd by chance, or good; those of many seeds together cannot.
TEST(PoissonArrivals, fit_as_well_over_many_seeds_as_poisson_processes_do) {
  constexpr int kSeeds = 400;
  for (const std::size_t threads : {1U, 3U}) {
    SCOPED_TRACE(threads);
    LoadOptions options = at_rate(kRate, Arrivals::poisson, threads);
    int above_median = 0;
    int above_tenth = 0;
    for (options.seed = 1; options.seed <= kSeeds; ++options.seed) {
      const double misfit = exponential_misfit(gaps_of(merged(options, 1s)), kRate);
      above_median += misfit > 0.828 ? 1 : 0;
      above_tenth += misfit > 1.224 ? 1 : 0;
    }
    EXPECT_NEAR(above_median, kSeeds / 2, 5 * std::sqrt(kSeeds * 0.25));
    EXPECT_NEAR(above_tenth, kSeeds / 10, 5 * std::sqrt(kSeeds * 0.09));
  }
}

// That the tests above can tell.
TEST(PoissonArrivals, other_arrivals_are_seen_not_to_be_poisson) {
  const auto constant = merged(at_rate(kRate, Arrivals::constant), kLength);
  EXPECT_GT(exponential_misfit(gaps_of(constant), kRate), 10 * kExponential);
  EXPECT_LT(dispersion(constant, kLength, kWindows), 0.5);
  const auto bursts = merged(at_rate(kRate, Arrivals::burst), kLength);
  EXPECT_GT(exponential_misfit(gaps_of(bursts), kRate), 10 * kExponential);
  // A process of half the rate in which each arrival counts twice: threads of one stream.
  auto twice = merged(at_rate(kRate / 2, Arrivals::poisson), kLength);
  twice.insert(twice.end(), twice.begin(), twice.end());
  std::sort(twice.begin(), twice.end());
  EXPECT_GT(exponential_misfit(gaps_of(twice), kRate), 10 * kExponential);
  EXPECT_GT(dispersion(twice, kLength, kWindows), 1 + kDispersion);
  EXPECT_LT(correlation_of_neighbours(gaps_of(twice)), -5 / std::sqrt(20'000));
}

TEST(ConstantArrivals, are_even_and_those_of_threads_interleave) {
  for (const std::size_t threads : {1U, 2U, 3U, 7U}) {
    SCOPED_TRACE(threads);
    const auto times_ns = merged(at_rate(1'000, Arrivals::constant, threads), 10s);
    ASSERT_EQ(times_ns.size(), 10'000U);
    for (std::size_t i = 0; i < times_ns.size(); ++i) {
      ASSERT_NEAR(double(times_ns[i]), double(i) * 1e6, 1) << i;
    }
  }
}

TEST(ConstantArrivals, do_not_drift) {
  const auto times_ns = first_of(at_rate(3'000'000, Arrivals::constant), 3'000'001);
  EXPECT_EQ(times_ns.back(), 1'000'000'000);
}

TEST(BurstArrivals, come_at_once_and_evenly_spaced) {
  for (const std::size_t threads : {1U, 4U}) {
    SCOPED_TRACE(threads);
    LoadOptions options = at_rate(1'000, Arrivals::burst, threads);
    options.burst_requests = 20;
    const auto times_ns = merged(options, 10s);
    ASSERT_EQ(times_ns.size(), 500 * 20U);
    for (std::size_t i = 0; i < times_ns.size(); ++i) {
      ASSERT_NEAR(double(times_ns[i]), double(i / 20) * 20e6, 1) << i;
      ASSERT_EQ(times_ns[i], times_ns[i / 20 * 20]) << i;
    }
  }
}

// Whether or not something comes before: a warm-up, say.
TEST(Arrivals, fill_any_length_with_as_many_as_the_rate_makes) {
  for (const Arrivals arrivals : {Arrivals::constant, Arrivals::burst}) {
    for (const std::size_t threads : {1U, 2U, 3U, 7U}) {
      for (const double rate : {1.0, 3.0, 30.0, 500.0, 730.0, 20'000.0, 333'333.0}) {
        LoadOptions options = at_rate(rate, arrivals, threads);
        options.burst_requests = 1;
        const auto times_ns = merged(options, 3s);
        EXPECT_EQ(double(times_ns.size()), 3 * rate) << rate << ' ' << threads;
        const auto second = std::lower_bound(times_ns.begin(), times_ns.end(), 1'000'000'000);
        EXPECT_EQ(double(second - times_ns.begin()), rate) << rate << ' ' << threads;
        EXPECT_EQ(times_ns.front(), 0);
      }
    }
  }
}

TEST(BurstArrivals, of_one_are_constant) {
  LoadOptions options = at_rate(1'000, Arrivals::burst, 3);
  options.burst_requests = 1;
  EXPECT_EQ(merged(options, 1s), merged(at_rate(1'000, Arrivals::constant, 3), 1s));
}

TEST(Ramp, grows_linearly_to_half_of_the_arrivals) {
  constexpr double kRamp_s = 2;
  for (const std::size_t threads : {1U, 3U}) {
    SCOPED_TRACE(threads);
    LoadOptions options = at_rate(1'000, Arrivals::constant, threads);
    options.ramp = 2s;
    const auto times_ns = merged(options, 4s);
    EXPECT_EQ(times_ns.size(), 1'000U + 2'000U);
    const auto until = [&](double seconds) {
      return double(std::upper_bound(times_ns.begin(), times_ns.end(),
                                     static_cast<std::int64_t>(seconds * 1e9)) -
                    times_ns.begin());
    };
    // What is expected grows with the square.
    for (double at_s = 0.1; at_s <= kRamp_s; at_s += 0.1) {
      EXPECT_NEAR(until(at_s), 1'000 * at_s * at_s / (2 * kRamp_s), double(threads)) << at_s;
    }
    for (std::size_t i = 1'001; i < times_ns.size(); ++i) {
      ASSERT_NEAR(double(times_ns[i] - times_ns[i - 1]), 1e6, 4) << i;
    }
  }
}

TEST(Ramp, of_poisson_arrivals_is_poisson_in_its_own_measure) {
  LoadOptions options = at_rate(2'000, Arrivals::poisson, 2);
  options.ramp = 10s;
  const auto times_ns = merged(options, 10s);
  EXPECT_NEAR(double(times_ns.size()), 10'000, 5 * std::sqrt(10'000));
  // The square of the time undoes the ramp; then 10,000 arrivals have the length of 10 s.
  std::vector<std::int64_t> even_ns;
  for (const std::int64_t at_ns : times_ns) {
    even_ns.push_back(static_cast<std::int64_t>(double(at_ns) * double(at_ns) / 1e10));
  }
  EXPECT_LT(exponential_misfit(gaps_of(even_ns), 1'000), kExponential);
  EXPECT_NEAR(dispersion(even_ns, 10s, 1'000), 1, 5 * std::sqrt(2.0 / 1'000));
}

// --- Passed over ---

TEST(PassedArrivals, are_those_that_would_have_come_one_by_one) {
  for (const Arrivals arrivals : {Arrivals::constant, Arrivals::burst}) {
    for (const std::chrono::milliseconds ramp : {0ms, 400ms}) {
      LoadOptions options = at_rate(730, arrivals, 3);
      options.ramp = ramp;
      // Begun with any number; some end exactly when one is due.
      for (const std::size_t begun : {0U, 1U, 7U, 25U}) {
        for (const std::chrono::nanoseconds until :
             {0ns, 100'000'000ns, 333'333'333ns, 2'000'000'000ns}) {
          ArrivalSchedule one_by_one(options, 1);
          ArrivalSchedule at_once(options, 1);
          std::uint64_t expected = 0;
          std::chrono::nanoseconds next{};
          for (std::size_t i = 0; i < begun; ++i) {
            next = one_by_one.next();
            static_cast<void>(at_once.next());
          }
          if (next >= until) continue;
          while ((next = one_by_one.next()) < until) ++expected;
          EXPECT_EQ(at_once.pass(until), expected) << begun << ' ' << until.count();
          EXPECT_EQ(at_once.next(), next);
        }
      }
    }
  }
}

TEST(PassedArrivals, of_a_poisson_process_are_poisson_distributed) {
  // Each second's, of which half is in the ramp, over many seeds: mean and variance are 75.
  constexpr int kSeeds = 4'000;
  double sum = 0;
  double squares = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    LoadOptions options = at_rate(100, Arrivals::poisson);
    options.ramp = 500ms;
    options.seed = static_cast<std::uint64_t>(seed);
    ArrivalSchedule schedule(options, 0);
    const auto count = static_cast<double>(schedule.pass(1s));
    EXPECT_EQ(schedule.pass(1s), 0U);
    EXPECT_GE(schedule.next(), 1s);
    sum += count;
    squares += count * count;
  }
  const double mean = sum / kSeeds;
  // Five standard errors: of the mean 0.137, of the variance 1.69.
  EXPECT_NEAR(mean, 75, 0.7);
  EXPECT_NEAR(squares / kSeeds - mean * mean, 75, 8.5);
}

TEST(PassedArrivals, take_no_longer_for_being_many) {
  for (const Arrivals arrivals : {Arrivals::poisson, Arrivals::constant, Arrivals::burst}) {
    ArrivalSchedule schedule(at_rate(1e9, arrivals), 0);
    // A day's: 8.64e13, one at a time a day's work.
    EXPECT_NEAR(static_cast<double>(schedule.pass(24h)), 8.64e13, 1e8);
  }
}

TEST(Arrivals, a_seed_is_a_schedule) {
  LoadOptions options = at_rate(1'000, Arrivals::poisson, 2);
  const auto schedule = first_of(options, 100);
  EXPECT_EQ(first_of(options, 100), schedule);
  EXPECT_NE(first_of(options, 100, 1), schedule) << "threads must not be in step";
  ++options.seed;
  EXPECT_NE(first_of(options, 100), schedule);
  options.seed = (options.seed - 1) ^ (std::uint64_t{1} << 63U);
  EXPECT_NE(first_of(options, 100), schedule) << "all of the seed counts";
}

TEST(Arrivals, never_decrease_at_any_rate) {
  const double least = std::numeric_limits<double>::denorm_min();
  for (const Arrivals arrivals : {Arrivals::poisson, Arrivals::constant, Arrivals::burst}) {
    for (const double rate : {least, 1e-300, 1e-12, 1e-6, 0.5, 1e3, 1e9, 1e12, 1e300}) {
      for (const auto ramp : {0ms, 1ms, 3'600'000ms}) {
        SCOPED_TRACE(rate);
        LoadOptions options = at_rate(rate, arrivals, 2);
        options.ramp = ramp;
        const auto times_ns = first_of(options, 1'000, 1);
        EXPECT_GE(times_ns.front(), 0);
        EXPECT_TRUE(std::is_sorted(times_ns.begin(), times_ns.end()));
        // They are added to the clock.
        const auto now_ns =
            std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
        EXPECT_LT(times_ns.back(), std::numeric_limits<std::int64_t>::max() - now_ns);
      }
    }
  }
}

TEST(Arrivals, rates_that_are_hardly_ever_or_all_at_once) {
  EXPECT_GT(first_of(at_rate(1e-12, Arrivals::constant), 2).back(),
            std::chrono::nanoseconds(24h * 365).count());
  EXPECT_GT(first_of(at_rate(1e-12, Arrivals::poisson), 1).front(),
            std::chrono::nanoseconds(24h).count());
  EXPECT_LE(first_of(at_rate(1e12, Arrivals::constant), 1'000).back(), 1);
  EXPECT_LE(first_of(at_rate(1e12, Arrivals::poisson), 1'000).back(), 2);
  EXPECT_NEAR(double(first_of(at_rate(1e9, Arrivals::constant), 1'000).back()), 1'000, 1);
}

}  // namespace
}  // namespace evpool::bench
