#include "bench/load/significance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

namespace evpool::bench {
namespace {

using Sample = std::vector<double>;

Sample normal_sample(std::size_t size, double mean, double deviation, std::mt19937_64& random) {
  std::normal_distribution<double> draw(mean, deviation);
  Sample sample(size);
  std::generate(sample.begin(), sample.end(), [&] { return draw(random); });
  return sample;
}

Sample from_one_to(std::size_t last) {
  Sample sample(last);
  std::iota(sample.begin(), sample.end(), 1.0);
  return sample;
}

// By its definition: the part of all ways to choose A's ranks whose U is as far from its mean.
double p_value_by_enumeration(const Sample& a, const Sample& b) {
  const auto distance = [&](const Sample& first, const Sample& second) {
    double u = 0;
    for (const double x : first) {
      for (const double y : second) u += x > y ? 1 : 0;
    }
    return std::abs(u - static_cast<double>(first.size() * second.size()) / 2);
  };
  Sample all = a;
  all.insert(all.end(), b.begin(), b.end());
  std::vector<bool> chosen(all.size());
  std::fill(chosen.end() - static_cast<std::ptrdiff_t>(a.size()), chosen.end(), true);
  double ways = 0;
  double as_far = 0;
  do {
    Sample first;
    Sample second;
    for (std::size_t i = 0; i < all.size(); ++i) (chosen[i] ? first : second).push_back(all[i]);
    ways += 1;
    if (distance(first, second) >= distance(a, b)) as_far += 1;
  } while (std::next_permutation(chosen.begin(), chosen.end()));
  return as_far / ways;
}

// With resamples really made.
Interval interval_by_resampling(const Sample& sample) {
  std::mt19937_64 random(7);
  std::uniform_int_distribution<std::size_t> pick(0, sample.size() - 1);
  Sample medians(10'000);
  for (double& value : medians) {
    Sample resample(sample.size());
    std::generate(resample.begin(), resample.end(), [&] { return sample[pick(random)]; });
    value = median(resample);
  }
  std::sort(medians.begin(), medians.end());
  return {medians[249], medians[9'750]};
}

TEST(Significance, the_median_is_the_middle_or_between_the_two_middle_ones) {
  EXPECT_EQ(median(Sample{7}), 7);
  EXPECT_EQ(median(Sample{9, 1}), 5);
  EXPECT_EQ(median(Sample{9, 1, 2}), 2);
  EXPECT_EQ(median(Sample{100, 3, 1, 2}), 2.5);
  const double largest = std::numeric_limits<double>::max();
  EXPECT_EQ(median(Sample{largest, largest}), largest) << "their sum is too large";
}

TEST(Significance, an_empty_sample_is_refused) {
  const Sample none;
  const Sample some = {1, 2};
  EXPECT_THROW((void)median(none), std::invalid_argument);
  EXPECT_THROW((void)median_interval(none), std::invalid_argument);
  for (const auto& [a, b] : {std::pair{none, some}, {some, none}, {none, none}}) {
    EXPECT_THROW((void)ratio_interval(a, b), std::invalid_argument);
    EXPECT_THROW((void)mann_whitney_p_value(a, b), std::invalid_argument);
    EXPECT_THROW((void)compare_samples(a, b), std::invalid_argument);
  }
}

TEST(Significance, p_of_separate_samples_is_two_ways_of_all) {
  const Sample low = {1, 2, 3, 4, 5};
  const Sample high = {6, 7, 8, 9, 10};
  EXPECT_NEAR(mann_whitney_p_value(low, high), 2.0 / 252, 1e-12);
  EXPECT_NEAR(mann_whitney_p_value(high, low), 2.0 / 252, 1e-12);
  EXPECT_NEAR(mann_whitney_p_value(Sample{1, 2, 3}, Sample{4, 5, 6}), 0.1, 1e-12);
  EXPECT_NEAR(mann_whitney_p_value(Sample{1, 2, 3}, Sample{4, 5, 6, 7}), 2.0 / 35, 1e-12);
}

// Critical values of U at 5 %, two-sided, as in every table of them: the largest U still below it.
TEST(Significance, p_crosses_5_percent_at_the_tabled_critical_values) {
  struct Row {
    std::size_t n;
    std::size_t m;
    std::size_t critical_u;
  };
  for (const Row row : {Row{4, 4, 0},
                        {5, 5, 2},
                        {5, 8, 6},
                        {7, 7, 8},
                        {8, 10, 17},
                        {10, 10, 23},
                        {12, 15, 49},
                        {20, 20, 127}}) {
    SCOPED_TRACE(testing::Message() << row.n << " and " << row.m);
    // a below all of b, and then its highest values each moved up past some of b: U is the number
    // of pairs in which a is the higher one.
    const auto sample_with_u = [&row](std::size_t u) {
      Sample a(row.n);
      for (std::size_t i = row.n; i-- > 0;) {
        const std::size_t passed = std::min(u, row.m);
        u -= passed;
        a[i] = static_cast<double>(passed) + 0.5 + static_cast<double>(i) / 100;
      }
      return a;
    };
    const Sample b = from_one_to(row.m);
    EXPECT_LE(mann_whitney_p_value(sample_with_u(row.critical_u), b), 0.05);
    EXPECT_GT(mann_whitney_p_value(sample_with_u(row.critical_u + 1), b), 0.05);
  }
}

// Hollander and Wolfe, "Nonparametric Statistical Methods", 1973, pages 69 and following:
// permeability constants of the human chorioamnion; W = 35, one-sided p = 0.1272.
TEST(Significance, p_of_the_textbooks_example_without_ties) {
  const Sample at_term = {0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
  const Sample early = {1.15, 0.88, 0.90, 0.74, 1.21};
  EXPECT_NEAR(mann_whitney_p_value(at_term, early), 2 * 0.1272, 1e-4);
}

// R's own example of wilcox.test: ozone in New York in May and in August 1973 (data set
// airquality); W = 127.5, p = 0.0001208 by the approximation with both corrections.
TEST(Significance, p_of_the_textbooks_example_with_ties) {
  const Sample may = {41, 36, 12, 18, 28, 23, 19, 8, 7,  16, 11, 14,  18,
                      14, 34, 6,  30, 11, 1,  11, 4, 32, 23, 45, 115, 37};
  const Sample august = {39, 9,  16, 78, 35, 66, 122, 89,  110, 44, 28,  65, 22,
                         59, 23, 31, 44, 21, 9,  45,  168, 73,  76, 118, 84, 85};
  EXPECT_NEAR(mann_whitney_p_value(may, august), 0.0001208, 5e-8);
  EXPECT_NEAR(mann_whitney_p_value(august, may), 0.0001208, 5e-8);
}

TEST(Significance, exact_p_is_what_enumeration_of_all_ways_gives) {
  std::mt19937_64 random(11);
  for (std::size_t n = 1; n <= 6; ++n) {
    for (std::size_t m = 1; m <= 6; ++m) {
      SCOPED_TRACE(testing::Message() << n << " and " << m);
      for (int round = 0; round < 5; ++round) {
        const Sample a = normal_sample(n, 0, 1, random);
        const Sample b = normal_sample(m, 0.5 * round, 1, random);
        EXPECT_NEAR(mann_whitney_p_value(a, b), p_value_by_enumeration(a, b), 1e-12);
      }
    }
  }
}

TEST(Significance, the_approximation_is_near_the_exact_distribution) {
  std::mt19937_64 random(12);
  for (int round = 0; round < 50; ++round) {
    // One pair of equal values is enough to leave the exact way; a hair apart they take it.
    Sample tied = normal_sample(20, 0, 1, random);
    tied.back() = tied.front();
    Sample untied = tied;
    untied.back() = std::nextafter(tied.front(), 1e9);
    const Sample b = normal_sample(20, 0.02 * round, 1, random);
    const double exact = mann_whitney_p_value(untied, b);
    EXPECT_NEAR(mann_whitney_p_value(tied, b), exact, 0.002 + 0.01 * exact);
  }
}

TEST(Significance, p_says_nothing_of_equal_samples) {
  EXPECT_EQ(mann_whitney_p_value(Sample(10, 5.0), Sample(10, 5.0)), 1);
  EXPECT_EQ(mann_whitney_p_value(Sample{5}, Sample{5}), 1);
  EXPECT_EQ(mann_whitney_p_value(from_one_to(10), from_one_to(10)), 1);
  EXPECT_EQ(mann_whitney_p_value(Sample{1, 4}, Sample{2, 3}), 1) << "twice the tail would be 4/3";
}

TEST(Significance, ties_make_few_runs_no_more_significant_than_they_can_be) {
  // By the approximation alone: p = 0.047.
  EXPECT_NEAR(mann_whitney_p_value(Sample{1, 1, 1}, Sample{2, 2, 2}), 0.1, 1e-12);
}

TEST(Significance, p_is_below_alpha_as_often_as_alpha_says) {
  // Of 10 and 10 values, the exact test's own level is 0.043: its steps do not hit 0.05.
  std::mt19937_64 random(13);
  constexpr int kTrials = 5'000;
  int seen = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Sample a = normal_sample(10, 100, 3, random);
    seen += mann_whitney_p_value(a, normal_sample(10, 100, 3, random)) < 0.05 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(seen) / kTrials, 0.0433, 0.009) << "three standard errors";
}

TEST(Significance, the_least_p_is_that_of_separate_samples) {
  EXPECT_EQ(least_p_value(1, 1), 1);
  EXPECT_NEAR(least_p_value(3, 3), 0.1, 1e-12);
  EXPECT_NEAR(least_p_value(3, 5), 2.0 / 56, 1e-12);
  EXPECT_NEAR(least_p_value(5, 3), 2.0 / 56, 1e-12);
  EXPECT_NEAR(least_p_value(4, 4), 2.0 / 70, 1e-12);
  EXPECT_NEAR(least_p_value(10, 10), 2.0 / 184'756, 1e-15);
  EXPECT_EQ(least_p_value(0, 10), 1);
  EXPECT_LT(least_p_value(1'000'000'000, 1'000'000'000), 1e-200) << "and returns at once";
}

TEST(Significance, the_medians_interval_is_that_of_plain_resampling) {
  for (const std::size_t size : {2U, 3U, 4U, 5U, 8U, 9U, 10U, 11U, 20U, 51U, 100U}) {
    SCOPED_TRACE(size);
    const Sample sample = from_one_to(size);
    const Interval direct = median_interval(sample);
    const Interval resampled = interval_by_resampling(sample);
    // Half of the distance between values: as near as the end of a discrete distribution is known.
    EXPECT_NEAR(direct.low, resampled.low, 0.5);
    EXPECT_NEAR(direct.high, resampled.high, 0.5);
  }
}

TEST(Significance, the_medians_interval_holds_the_median_about_as_often_as_it_says) {
  std::mt19937_64 random(14);
  constexpr int kTrials = 400;
  int held = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    held += median_interval(normal_sample(25, 100, 3, random)).contains(100) ? 1 : 0;
  }
  EXPECT_GT(held, kTrials * 90 / 100);
  EXPECT_LT(held, kTrials) << "so wide that it says nothing";
}

TEST(Significance, the_order_of_the_runs_does_not_matter_but_the_seed_may) {
  const Sample sample = from_one_to(30);
  const Sample reversed(sample.rbegin(), sample.rend());
  EXPECT_EQ(median_interval(sample).low, median_interval(reversed).low);
  EXPECT_EQ(median_interval(sample).high, median_interval(reversed).high);
  std::mt19937_64 random(15);
  const Sample a = normal_sample(40, 100, 3, random);
  const Sample b = normal_sample(40, 100, 3, random);
  EXPECT_EQ(ratio_interval(a, b, 1).low, ratio_interval(a, b, 1).low);
  EXPECT_NE(ratio_interval(a, b, 1).low, ratio_interval(a, b, 2).low) << "the seed is not used";
}

TEST(Significance, the_ratios_interval_scales_with_b) {
  std::mt19937_64 random(16);
  const Sample a = normal_sample(15, 100, 3, random);
  Sample b = a;
  for (double& value : b) value *= 4;  // exact in binary
  const Interval same = ratio_interval(a, a);
  const Interval scaled = ratio_interval(a, b);
  EXPECT_LT(same.low, 1);
  EXPECT_GT(same.high, 1);
  EXPECT_DOUBLE_EQ(scaled.low, 4 * same.low);
  EXPECT_DOUBLE_EQ(scaled.high, 4 * same.high);
}

TEST(Significance, comparing_agrees_with_its_parts) {
  std::mt19937_64 random(17);
  const Sample a = normal_sample(12, 100, 3, random);
  const Sample b = normal_sample(9, 120, 3, random);
  const Comparison comparison = compare_samples(a, b);
  EXPECT_EQ(comparison.median_a, median(a));
  EXPECT_EQ(comparison.median_b, median(b));
  EXPECT_EQ(comparison.interval_a.low, median_interval(a).low);
  EXPECT_EQ(comparison.interval_a.high, median_interval(a).high);
  EXPECT_TRUE(comparison.interval_b.contains(median(b)));
  EXPECT_FALSE(comparison.interval_b.contains(median(a)));
  EXPECT_EQ(comparison.ratio, median(b) / median(a));
  EXPECT_EQ(comparison.ratio_interval.low, ratio_interval(a, b).low);
  EXPECT_EQ(comparison.ratio_interval.high, ratio_interval(a, b).high);
  EXPECT_EQ(comparison.p_value, mann_whitney_p_value(a, b));
  EXPECT_EQ(comparison.verdict, Comparison::b_higher);
  EXPECT_EQ(compare_samples(b, a).verdict, Comparison::a_higher);
}

TEST(Significance, samples_of_one_distribution_seldom_differ) {
  std::mt19937_64 random(18);
  constexpr int kTrials = 300;
  int seen = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Sample a = normal_sample(10, 100, 3, random);
    const Sample b = normal_sample(10, 100, 3, random);
    seen += compare_samples(a, b).verdict != Comparison::no_difference ? 1 : 0;
  }
  EXPECT_LE(seen, 26) << "0.05 of them, and three standard errors";
  EXPECT_GE(seen, 1) << "then it would never see anything";
}

TEST(Significance, a_fifth_less_is_seen_through_three_percent_of_noise) {
  std::mt19937_64 random(19);
  for (int trial = 0; trial < 100; ++trial) {
    const Sample a = normal_sample(10, 100, 3, random);
    const Comparison comparison = compare_samples(a, normal_sample(10, 80, 3, random));
    EXPECT_EQ(comparison.verdict, Comparison::a_higher);
    EXPECT_NEAR(comparison.ratio, 0.8, 0.06);
    EXPECT_LT(comparison.ratio_interval.high, 0.9);
    EXPECT_LT(comparison.p_value, 0.001);
  }
}

TEST(Significance, alpha_is_what_is_asked_for) {
  const Sample low = {10, 11, 12, 13, 14};
  const Sample high = {20, 21, 22, 23, 24};  // p = 0.0079
  EXPECT_EQ(compare_samples(low, high, 0.01).verdict, Comparison::b_higher);
  EXPECT_EQ(compare_samples(low, high, 0.007).verdict, Comparison::no_difference);
}

TEST(Significance, a_low_p_alone_is_no_difference) {
  // The medians differ less than they may by chance, but each sample has its outliers on another
  // side.
  Sample a(20);
  Sample b(20);
  for (std::size_t i = 0; i < 20; ++i) {
    const auto rank = static_cast<double>(i);
    a[i] = i < 5 ? 90 - rank : 99 + rank / 10;
    b[i] = i < 5 ? 110 + rank : 99.01 + rank / 10;
  }
  const Comparison comparison = compare_samples(a, b);
  EXPECT_LT(comparison.p_value, 0.05);
  EXPECT_NE(comparison.median_a, comparison.median_b);
  EXPECT_TRUE(comparison.ratio_interval.contains(1));
  EXPECT_EQ(comparison.verdict, Comparison::no_difference);
}

TEST(Significance, an_interval_that_excludes_1_alone_is_no_difference) {
  const Comparison comparison = compare_samples(Sample{1, 2, 3}, Sample{11, 12, 13});
  EXPECT_FALSE(comparison.ratio_interval.contains(1));
  EXPECT_EQ(comparison.verdict, Comparison::no_difference) << "p of 3 and 3 runs is at least 0.1";
}

TEST(Significance, one_run_each_is_no_difference) {
  const Comparison comparison = compare_samples(Sample{100}, Sample{1});
  EXPECT_EQ(comparison.p_value, 1);
  EXPECT_EQ(comparison.interval_a.low, 100);
  EXPECT_EQ(comparison.interval_a.high, 100);
  EXPECT_EQ(comparison.ratio, 0.01);
  EXPECT_EQ(comparison.verdict, Comparison::no_difference);
}

TEST(Significance, zero_has_ratios_too) {
  const Sample zeros(6, 0.0);
  const Sample some = {1, 2, 3, 4, 5, 6};
  const Comparison same = compare_samples(zeros, zeros);
  EXPECT_EQ(same.ratio, 1);
  EXPECT_EQ(same.verdict, Comparison::no_difference);
  const Comparison more = compare_samples(zeros, some);
  EXPECT_EQ(more.ratio, std::numeric_limits<double>::infinity());
  EXPECT_EQ(more.verdict, Comparison::b_higher);
  const Comparison fewer = compare_samples(some, zeros);
  EXPECT_EQ(fewer.ratio, 0);
  EXPECT_EQ(fewer.verdict, Comparison::a_higher);
}

TEST(Significance, huge_samples_take_no_huge_time) {
  // Resamples really made would be 4,000,000,000 values: minutes.
  std::mt19937_64 random(20);
  const Sample a = normal_sample(200'000, 100, 3, random);
  const Sample b = normal_sample(200'000, 100.2, 3, random);
  const Comparison comparison = compare_samples(a, b);
  EXPECT_EQ(comparison.verdict, Comparison::b_higher);
  EXPECT_NEAR(comparison.ratio, 1.002, 0.0005);
  // The median of n normal values has the standard error 1.2533 s / sqrt(n): 0.0084.
  EXPECT_NEAR(comparison.interval_a.high - comparison.interval_a.low, 2 * 1.96 * 0.0084, 0.005);
  EXPECT_NEAR(median(a), 100, 0.04);
}

}  // namespace
}  // namespace evpool::bench
