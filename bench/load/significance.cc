#include "bench/load/significance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

namespace evpool::bench {
namespace {

constexpr std::size_t kResamples = 10'000;
constexpr std::size_t kResamplesBeyondEachEnd = kResamples * 25 / 1'000;  // 2.5 %: 95 % between
// Up to here the exact distribution is computed; its counts, at most C(40, 20) = 1.4e11, are then
// exact in a double. Beyond, the normal approximation is close.
constexpr std::size_t kMaxExactPairs = 400;

std::vector<double> sorted_copy(std::span<const double> sample) {
  if (sample.empty()) throw std::invalid_argument("a sample without values has no median");
  std::vector<double> sorted(sample.begin(), sample.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

double median_of_sorted(const std::vector<double>& sorted) {
  const std::size_t middle = sorted.size() / 2;
  if (sorted.size() % 2 == 1) return sorted[middle];
  return std::midpoint(sorted[middle - 1], sorted[middle]);
}

double ratio_of(double b, double a) {
  if (a == b) return 1;
  if (a == 0) return std::copysign(std::numeric_limits<double>::infinity(), b);
  return b / a;
}

// Draws medians of bootstrap resamples (Efron, "Bootstrap methods: another look at the jackknife",
// Annals of Statistics 7, 1979) without making the resamples, so that a draw's cost does not depend
// on the sample's size. A resample is sorted[floor(n U)] for n uniform numbers U; floor is
// monotone, so its k-th value is sorted[floor(n U(k))], and the k-th of n uniform numbers, U(k),
// has the distribution Beta(k, n - k + 1) (David and Nagaraja, "Order Statistics", section 2.1).
class MedianResampler {
 public:
  explicit MedianResampler(const std::vector<double>& sorted)
      : sorted_(sorted),
        below_(std::floor(static_cast<double>(sorted.size()) / 2)),
        size_(static_cast<double>(sorted.size())),
        up_to_middle_(below_ + 1),
        above_middle_(size_ - below_) {}

  double operator()(std::mt19937_64& random) {
    // Beta(p, q) is X / (X + Y) of X from Gamma(p) and Y from Gamma(q).
    const double x = up_to_middle_(random);
    const double upper_middle = x / (x + above_middle_(random));
    if (sorted_.size() % 2 == 1) return at(upper_middle);
    // The one before it is the largest of the `below_` numbers that are uniform below it.
    const double lower_middle = upper_middle * std::pow(uniform_(random), 1 / below_);
    return std::midpoint(at(lower_middle), at(upper_middle));
  }

 private:
  [[nodiscard]] double at(double fraction) const {
    const auto index = static_cast<std::size_t>(fraction * size_);
    return sorted_[std::min(index, sorted_.size() - 1)];  // rounding may make the fraction 1
  }

  const std::vector<double>& sorted_;
  double below_;
  double size_;
  std::gamma_distribution<double> up_to_middle_;
  std::gamma_distribution<double> above_middle_;
  std::uniform_real_distribution<double> uniform_{0, 1};
};

std::vector<double> resampled_medians(const std::vector<double>& sorted, std::mt19937_64& random) {
  MedianResampler draw(sorted);
  std::vector<double> medians(kResamples);
  std::generate(medians.begin(), medians.end(), [&] { return draw(random); });
  return medians;
}

// The percentile interval (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
// chapter 13).
Interval percentile_interval(std::vector<double> resampled) {
  std::sort(resampled.begin(), resampled.end());
  return {resampled[kResamplesBeyondEachEnd - 1], resampled[kResamples - kResamplesBeyondEachEnd]};
}

Interval interval_of_ratios(const std::vector<double>& medians_a,
                            const std::vector<double>& medians_b) {
  std::vector<double> ratios(kResamples);
  std::transform(medians_b.begin(), medians_b.end(), medians_a.begin(), ratios.begin(), ratio_of);
  return percentile_interval(std::move(ratios));
}

struct RankedSamples {
  double u = 0;     // pairs in which A's value is the higher one; half of those that are equal
  double ties = 0;  // sum of t^3 - t over the groups of t equal values
};

RankedSamples rank(std::span<const double> a, std::span<const double> b) {
  struct Value {
    double value;
    bool of_a;
  };
  std::vector<Value> all;
  all.reserve(a.size() + b.size());
  for (const double value : a) all.push_back({value, true});
  for (const double value : b) all.push_back({value, false});
  std::sort(all.begin(), all.end(),
            [](const Value& left, const Value& right) { return left.value < right.value; });

  RankedSamples ranked;
  double b_below = 0;
  for (std::size_t begin = 0; begin < all.size();) {
    double of_a = 0;
    double of_b = 0;
    std::size_t end = begin;
    for (; end < all.size() && all[end].value == all[begin].value; ++end) {
      (all[end].of_a ? of_a : of_b) += 1;
    }
    ranked.u += of_a * (b_below + of_b / 2);
    const double equal = of_a + of_b;
    ranked.ties += equal * equal * equal - equal;
    b_below += of_b;
    begin = end;
  }
  return ranked;
}

// Of all ways in which `few` of the ranks 1..few+many can be one sample's, the part whose U is at
// most `u`. Counted rank by rank, as in Mann and Whitney, "On a test of whether one of two random
// variables is stochastically larger than the other", Annals of Mathematical Statistics 18, 1947:
// when rank r is the sample's j-th lowest, r - j values of the other sample are below it.
double exact_tail(std::size_t few, std::size_t many, std::size_t u) {
  const std::size_t values_of_u = few * many + 1;
  std::vector<std::vector<double>> ways(few + 1, std::vector<double>(values_of_u, 0));
  ways[0][0] = 1;
  for (std::size_t r = 1; r <= few + many; ++r) {
    for (std::size_t j = std::min(few, r); j >= 1; --j) {
      if (r - j > many) break;  // the other sample has no more
      for (std::size_t i = r - j; i < values_of_u; ++i) ways[j][i] += ways[j - 1][i - (r - j)];
    }
  }
  const auto middle = ways[few].begin() + static_cast<std::ptrdiff_t>(u) + 1;
  return std::accumulate(ways[few].begin(), middle, 0.0) /
         std::accumulate(ways[few].begin(), ways[few].end(), 0.0);
}

// With the corrections for ties and for continuity: Lehmann, "Nonparametrics", 1975, section 1.4
// and appendix.
double normal_p_value(const RankedSamples& ranked, double pairs, double values) {
  const double variance = pairs / 12 * (values + 1 - ranked.ties / (values * (values - 1)));
  if (!(variance > 0)) return 1;  // all values are equal
  const double distance = std::max(0.0, std::abs(ranked.u - pairs / 2) - 0.5);
  return std::erfc(distance / std::sqrt(2 * variance));
}

}  // namespace

double median(std::span<const double> sample) { return median_of_sorted(sorted_copy(sample)); }

Spread spread_of(std::span<const double> sample) {
  const std::vector<double> sorted = sorted_copy(sample);
  return {median_of_sorted(sorted), sorted.front(), sorted.back()};
}

Interval median_interval(std::span<const double> sample, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  return percentile_interval(resampled_medians(sorted_copy(sample), random));
}

Interval ratio_interval(std::span<const double> a, std::span<const double> b, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::vector<double> medians_a = resampled_medians(sorted_copy(a), random);
  return interval_of_ratios(medians_a, resampled_medians(sorted_copy(b), random));
}

double mann_whitney_p_value(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) throw std::invalid_argument("a sample without values has no ranks");
  const RankedSamples ranked = rank(a, b);
  const double pairs = static_cast<double>(a.size()) * static_cast<double>(b.size());
  if (pairs <= static_cast<double>(kMaxExactPairs) && ranked.ties == 0) {
    const double lower = std::min(ranked.u, pairs - ranked.u);
    const auto [few, many] = std::minmax({a.size(), b.size()});
    return std::min(1.0, 2 * exact_tail(few, many, static_cast<std::size_t>(lower)));
  }
  // A few runs with ties may look more significant to the approximation than is possible.
  return std::max(normal_p_value(ranked, pairs, static_cast<double>(a.size() + b.size())),
                  least_p_value(a.size(), b.size()));
}

double least_p_value(std::size_t runs_a, std::size_t runs_b) {
  if (runs_a == 0 || runs_b == 0) return 1;
  // 2 of the C(a + b, a) ways to deal out the ranks separate the samples.
  const auto [few, many] = std::minmax({runs_a, runs_b});
  constexpr double kLargest = 1e300;
  double ways = 1;
  for (std::size_t i = 1; i <= few && ways < kLargest; ++i) {
    ways *= static_cast<double>(many + i) / static_cast<double>(i);
  }
  return 2 / ways;
}

Comparison compare_samples(std::span<const double> a, std::span<const double> b, double alpha) {
  const std::vector<double> sorted_a = sorted_copy(a);
  const std::vector<double> sorted_b = sorted_copy(b);
  std::mt19937_64 random(kResamplingSeed);
  const std::vector<double> medians_a = resampled_medians(sorted_a, random);
  const std::vector<double> medians_b = resampled_medians(sorted_b, random);

  Comparison comparison;
  comparison.median_a = median_of_sorted(sorted_a);
  comparison.median_b = median_of_sorted(sorted_b);
  comparison.interval_a = percentile_interval(medians_a);
  comparison.interval_b = percentile_interval(medians_b);
  comparison.ratio = ratio_of(comparison.median_b, comparison.median_a);
  comparison.ratio_interval = interval_of_ratios(medians_a, medians_b);
  comparison.p_value = mann_whitney_p_value(a, b);
  const bool seen = comparison.p_value < alpha && !comparison.ratio_interval.contains(1);
  if (seen && comparison.median_a > comparison.median_b) comparison.verdict = Comparison::a_higher;
  if (seen && comparison.median_b > comparison.median_a) comparison.verdict = Comparison::b_higher;
  return comparison;
}

}  // namespace evpool::bench
