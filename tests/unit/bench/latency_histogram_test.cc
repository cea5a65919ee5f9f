#include "bench/load/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace evpool {
namespace {

// A percentile as a fraction, so that its rank can be computed without rounding.
struct Percentile {
  double percent;
  std::uint64_t per_100000;
};
constexpr Percentile kPercentiles[] = {{0.001, 1},      {1, 1'000},    {7, 7'000},   {50, 50'000},
                                       {55, 55'000},    {90, 90'000},  {99, 99'000}, {99.9, 99'900},
                                       {99.99, 99'990}, {100, 100'000}};

// The least value that at least that part of all values do not exceed.
std::uint64_t exact_percentile(const std::vector<std::uint64_t>& sorted, Percentile percentile) {
  const std::uint64_t rank = (percentile.per_100000 * sorted.size() + 99'999) / 100'000;
  return sorted[rank - 1];
}

void expect_right_percentiles(std::vector<std::uint64_t> values) {
  LatencyHistogram histogram;
  for (const std::uint64_t value : values) histogram.record(value);
  std::sort(values.begin(), values.end());
  for (const Percentile percentile : kPercentiles) {
    const std::uint64_t exact = exact_percentile(values, percentile);
    const std::uint64_t approximate = histogram.percentile_ns(percentile.percent);
    EXPECT_GE(approximate, exact) << "p" << percentile.percent << " of " << values.size();
    EXPECT_LE(approximate - exact, exact / 128)
        << "p" << percentile.percent << " of " << values.size();
  }
  EXPECT_EQ(histogram.count(), values.size());
  EXPECT_EQ(histogram.max_ns(), values.back());
  EXPECT_EQ(histogram.percentile_ns(100), values.back());
}

std::uint64_t to_ns(double value) {
  constexpr double kLargest = 1e18;
  return static_cast<std::uint64_t>(std::min(value, kLargest));
}

using Draw = std::function<std::uint64_t(std::mt19937_64&)>;

struct Distribution {
  std::string name;
  Draw draw;
};

const std::vector<Distribution>& distributions() {
  static const std::vector<Distribution> all = {
      {"uniform, small", std::uniform_int_distribution<std::uint64_t>(0, 1'000)},
      {"uniform, any", std::uniform_int_distribution<std::uint64_t>(0, UINT64_MAX)},
      {"lognormal", [draw = std::lognormal_distribution<double>(11, 1.5)](
                        std::mt19937_64& random) mutable { return to_ns(draw(random)); }},
      {"heavy tail",
       [draw = std::uniform_real_distribution<double>(0, 1)](std::mt19937_64& random) mutable {
         return to_ns(20'000 * std::pow(1 - draw(random), -2));
       }},
      {"two peaks",
       [](std::mt19937_64& random) {
         return random() % 20 == 0 ? 5'000'000 + random() % 1'000'000 : 30'000 + random() % 5'000;
       }},
      {"powers of two and their neighbours",
       [](std::mt19937_64& random) {
         return (std::uint64_t{1} << random() % 64) + random() % 3 - 1;
       }},
  };
  return all;
}

TEST(LatencyHistogram, percentiles_are_the_exact_ones_to_within_a_64th_and_never_below) {
  for (const Distribution& distribution : distributions()) {
    SCOPED_TRACE(distribution.name);
    std::mt19937_64 random(42);
    Draw draw = distribution.draw;
    std::vector<std::uint64_t> values(54'321);
    std::generate(values.begin(), values.end(), [&] { return draw(random); });
    expect_right_percentiles(values);
  }
}

TEST(LatencyHistogram, percentiles_of_few_values_are_right_too) {
  for (const Distribution& distribution : distributions()) {
    SCOPED_TRACE(distribution.name);
    std::mt19937_64 random(43);
    Draw draw = distribution.draw;
    for (std::size_t count = 1; count <= 50; ++count) {
      std::vector<std::uint64_t> values(count);
      std::generate(values.begin(), values.end(), [&] { return draw(random); });
      expect_right_percentiles(values);
    }
  }
}

TEST(LatencyHistogram, a_percentile_that_falls_on_a_value_is_that_value) {
  // The rank is whole: one more would be the next value, a hundred times larger.
  for (const std::size_t count : {100U, 1'000U, 2'000U, 100'000U}) {
    for (const Percentile percentile : kPercentiles) {
      const std::uint64_t rank_times_100000 = percentile.per_100000 * count;
      if (rank_times_100000 % 100'000 != 0) continue;
      LatencyHistogram histogram;
      for (std::size_t i = 0; i < count; ++i) {
        histogram.record(i < rank_times_100000 / 100'000 ? 50 : 5'000);
      }
      EXPECT_EQ(histogram.percentile_ns(percentile.percent), 50U)
          << "p" << percentile.percent << " of " << count;
    }
  }
}

TEST(LatencyHistogram, an_empty_one_is_all_zero) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.max_ns(), 0U);
  EXPECT_EQ(histogram.mean_ns(), 0.0);
  for (const Percentile percentile : kPercentiles) {
    EXPECT_EQ(histogram.percentile_ns(percentile.percent), 0U);
  }
}

TEST(LatencyHistogram, a_single_value_is_every_percentile_of_itself) {
  std::vector<std::uint64_t> values = {0,         1, 62, 63, 64, 65, 127, 128, 129, UINT64_MAX - 1,
                                       UINT64_MAX};
  for (unsigned bit = 7; bit < 64; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    values.insert(values.end(), {power - 1, power, power + 1});
  }
  for (const std::uint64_t value : values) {
    LatencyHistogram histogram;
    histogram.record(value);
    EXPECT_EQ(histogram.count(), 1U);
    EXPECT_EQ(histogram.max_ns(), value);
    EXPECT_DOUBLE_EQ(histogram.mean_ns(), static_cast<double>(value));
    for (const Percentile percentile : kPercentiles) {
      EXPECT_EQ(histogram.percentile_ns(percentile.percent), value);
    }
  }
}

TEST(LatencyHistogram, values_below_128_are_exact) {
  LatencyHistogram histogram;
  for (std::uint64_t value = 0; value < 128; ++value) histogram.record(value);
  histogram.record(1'000);
  for (std::uint64_t value = 0; value < 128; ++value) {
    // In the middle of the value's rank, so that no rounding matters.
    const double percent = 100 * (static_cast<double>(value) + 0.5) / 129;
    EXPECT_EQ(histogram.percentile_ns(percent), value);
  }
}

TEST(LatencyHistogram, the_extremes_have_places_of_their_own) {
  LatencyHistogram histogram;
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{63}, std::uint64_t{64}, UINT64_MAX}) {
    histogram.record(value);
  }
  EXPECT_EQ(histogram.percentile_ns(10), 0U);
  EXPECT_EQ(histogram.percentile_ns(30), 1U);
  EXPECT_EQ(histogram.percentile_ns(50), 63U);
  EXPECT_EQ(histogram.percentile_ns(70), 64U);
  EXPECT_EQ(histogram.percentile_ns(90), UINT64_MAX);
}

TEST(LatencyHistogram, no_percentile_exceeds_the_largest_value) {
  LatencyHistogram histogram;
  histogram.record(1'000'001);
  histogram.record(1'000'003);
  EXPECT_EQ(histogram.percentile_ns(50), 1'000'003U) << "both are in one bucket";
  EXPECT_EQ(histogram.percentile_ns(100), 1'000'003U);
}

TEST(LatencyHistogram, the_mean_is_exact) {
  LatencyHistogram histogram;
  for (const std::uint64_t value : {1'000'001U, 1'000'002U, 3U}) histogram.record(value);
  EXPECT_DOUBLE_EQ(histogram.mean_ns(), 2'000'006.0 / 3);
}

TEST(LatencyHistogram, merging_is_the_same_as_recording_all_in_one) {
  for (const Distribution& distribution : distributions()) {
    SCOPED_TRACE(distribution.name);
    std::mt19937_64 random(44);
    Draw draw = distribution.draw;
    LatencyHistogram all;
    std::vector<LatencyHistogram> parts(3);
    for (int i = 0; i < 10'000; ++i) {
      const std::uint64_t value = draw(random);
      all.record(value);
      // The last part stays empty.
      parts[value % 7 == 0 ? 0 : 1].record(value);
    }
    LatencyHistogram merged;
    for (const LatencyHistogram& part : parts) merged.merge(part);
    EXPECT_EQ(merged.count(), all.count());
    EXPECT_EQ(merged.max_ns(), all.max_ns());
    EXPECT_NEAR(merged.mean_ns(), all.mean_ns(), all.mean_ns() * 1e-9);
    for (int permille = 1; permille <= 1'000; ++permille) {
      const double percent = permille / 10.0;
      EXPECT_EQ(merged.percentile_ns(percent), all.percentile_ns(percent)) << percent;
    }
  }
}

}  // namespace
}  // namespace evpool
