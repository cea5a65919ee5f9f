// Tells a difference between two samples of runs from noise: a run's result is one value, A and B
// are some runs each. Medians, because runs have outliers on one side; a rank test, because nobody
// knows how they are distributed; and an interval of the ratio, because a p-value says nothing
// about how large a difference is.
//
// Functions without state: any thread may call them, and the same samples give the same answer
// (resampling is seeded). Time and memory are O(n log n) in the samples' sizes, beside a fixed
// amount for the resampling. REQUIRES: all values are finite. An empty sample is refused with
// std::invalid_argument; nothing else throws but the allocator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace evpool::bench {

struct Interval {
  double low = 0;
  double high = 0;

  // Its ends belong to it.
  [[nodiscard]] bool contains(double value) const { return low <= value && value <= high; }
};

constexpr std::uint64_t kResamplingSeed = 1;

[[nodiscard]] double median(std::span<const double> sample);

struct Spread {
  double median = 0;
  double least = 0;
  double greatest = 0;
};
[[nodiscard]] Spread spread_of(std::span<const double> sample);

// 95 % confidence, by the percentile bootstrap with 10,000 resamples.
[[nodiscard]] Interval median_interval(std::span<const double> sample,
                                       std::uint64_t seed = kResamplingSeed);

// The same of median(b) / median(a). 0 / 0 counts as 1, no change; anything else over 0 is
// infinite.
[[nodiscard]] Interval ratio_interval(std::span<const double> a, std::span<const double> b,
                                      std::uint64_t seed = kResamplingSeed);

// How probable ranks at least as different as these are when a and b come from one distribution:
// the two-sided Mann-Whitney U test.
[[nodiscard]] double mann_whitney_p_value(std::span<const double> a, std::span<const double> b);

// The p-value of two samples of these sizes that do not overlap at all; none is lower. When this is
// not below the level asked for, there are too few runs for any difference to be seen.
[[nodiscard]] double least_p_value(std::size_t runs_a, std::size_t runs_b);

struct Comparison {
  enum Verdict { no_difference, a_higher, b_higher };

  double median_a = 0;
  double median_b = 0;
  Interval interval_a;
  Interval interval_b;
  double ratio = 1;  // median_b / median_a
  Interval ratio_interval;
  double p_value = 1;
  Verdict verdict = no_difference;
};

// A difference is seen only when the test says so (p < alpha) and the ratio's interval, always of
// 95 %, excludes 1: the first alone would call out a shape, the second alone is too easily narrow
// for few runs.
[[nodiscard]] Comparison compare_samples(std::span<const double> a, std::span<const double> b,
                                         double alpha = 0.05);

}  // namespace evpool::bench
