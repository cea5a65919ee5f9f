// A histogram of durations with a fixed relative error, after Gil Tene's HdrHistogram: each power
// of two is cut into 128 equal buckets, so a value is known to within 1/128, 0.8 %: that is
// HdrHistogram's layout for two significant digits. Counts only; not thread-safe. Histograms of
// several sources are merged by adding, never by averaging percentiles.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace evpool {

class LatencyHistogram {
 public:
  void record(std::uint64_t value_ns) { record(value_ns, 1); }
  void record(std::uint64_t value_ns, std::uint64_t times) {
    if (times == 0) return;
    counts_[bucket_of(value_ns)] += times;
    count_ += times;
    max_ns_ = std::max(max_ns_, value_ns);
    sum_ns_ += static_cast<double>(value_ns) * static_cast<double>(times);
  }
  void merge(const LatencyHistogram& other);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t max_ns() const { return max_ns_; }  // exact
  [[nodiscard]] double mean_ns() const;

  // The least value that at least `percent` of all values do not exceed, rounded up to its bucket's
  // end; 0 when there are none. REQUIRES: 0 < percent <= 100.
  [[nodiscard]] std::uint64_t percentile_ns(double percent) const;

  // Buckets in order of their values, for drawing and for logs.
  static constexpr std::size_t kSubBuckets = 128;
  [[nodiscard]] static std::size_t buckets() { return kBuckets; }
  [[nodiscard]] std::uint64_t count_in(std::size_t bucket) const { return counts_[bucket]; }
  [[nodiscard]] static std::uint64_t last_value_of(std::size_t bucket);

 private:
  static constexpr unsigned kSubBucketBits = 7;
  static_assert(kSubBuckets == std::size_t{1} << kSubBucketBits);
  static constexpr std::size_t kBuckets = (64 - kSubBucketBits + 1) * kSubBuckets;

  // Values below 128 have a bucket each; above, the seven bits after the leading one choose.
  static std::size_t bucket_of(std::uint64_t value) {
    if (value < kSubBuckets) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBucketBits;
    return (shift + 1) * kSubBuckets + ((value >> shift) - kSubBuckets);
  }

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ns_ = 0;
  double sum_ns_ = 0;
};

}  // namespace evpool
