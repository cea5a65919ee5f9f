#include "bench/load/latency_histogram.h"

#include <algorithm>
#include <cmath>

namespace evpool {

void LatencyHistogram::merge(const LatencyHistogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ns_ = std::max(max_ns_, other.max_ns_);
  sum_ns_ += other.sum_ns_;
}

double LatencyHistogram::mean_ns() const {
  return count_ == 0 ? 0 : sum_ns_ / static_cast<double>(count_);
}

std::uint64_t LatencyHistogram::percentile_ns(double percent) const {
  // 99.9 is no binary fraction: a rank that is whole must not become the next one by rounding.
  constexpr double kRounding = 1e-12;
  const double rank = percent * static_cast<double>(count_) / 100;
  const auto wanted = static_cast<std::uint64_t>(std::ceil(rank - rank * kRounding));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += counts_[bucket];
    if (seen >= wanted && seen > 0) return std::min(last_value_of(bucket), max_ns_);
  }
  return 0;
}

std::uint64_t LatencyHistogram::last_value_of(std::size_t bucket) {
  if (bucket < kSubBuckets) return bucket;
  const std::size_t shift = bucket / kSubBuckets - 1;
  const std::uint64_t first = (bucket % kSubBuckets + kSubBuckets) << shift;
  return first + ((std::uint64_t{1} << shift) - 1);
}

}  // namespace evpool
