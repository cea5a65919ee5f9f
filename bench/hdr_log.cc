#include "bench/hdr_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>
#include <new>
#include <string_view>

namespace evpool::bench {
namespace {

// Of HdrHistogram's AbstractHistogram.java: the base of each encoding, and 0x10 for words of
// variable length.
constexpr std::uint32_t kCookie = 0x1c849303 | 0x10;
constexpr std::uint32_t kCompressedCookie = 0x1c849304 | 0x10;
// What LatencyHistogram's layout is called there: 2 digits make 256 sub-buckets in the first
// bucket, half as many in each further one, and its index is our bucket's number.
constexpr std::uint32_t kSignificantDigits = 2;
static_assert(LatencyHistogram::kSubBuckets == 128);

// The format's values are signed: 56 powers of two after the first 128 values. Ours of 292 years
// and more go into the last of them, so that no count is missing.
constexpr std::size_t kHdrBuckets = 57 * LatencyHistogram::kSubBuckets;
constexpr std::uint64_t kLargestHdrValue = std::numeric_limits<std::int64_t>::max();

template <typename Unsigned>
void append_big_endian(std::string& bytes, Unsigned value) {
  for (std::size_t shift = 8 * sizeof(value); shift > 0; shift -= 8) {
    bytes.push_back(static_cast<char>(value >> (shift - 8) & 0xff));
  }
}

// ZigZag makes small negative numbers small; LEB128 writes seven bits a byte, lowest first. This
// variant ends after nine bytes, the last of which holds eight bits.
void append_zig_zag(std::string& bytes, std::int64_t value) {
  constexpr int kMaxContinuedBytes = 8;
  std::uint64_t rest = static_cast<std::uint64_t>(value) << 1U;
  if (value < 0) rest = ~rest;
  for (int i = 0; i < kMaxContinuedBytes && rest > 0x7f; ++i) {
    bytes.push_back(static_cast<char>(rest | 0x80));
    rest >>= 7U;
  }
  bytes.push_back(static_cast<char>(rest));
}

std::int64_t count_in(const LatencyHistogram& histogram, std::size_t bucket) {
  std::uint64_t count = histogram.count_in(bucket);
  if (bucket + 1 == kHdrBuckets) {
    for (std::size_t i = kHdrBuckets; i < LatencyHistogram::buckets(); ++i) {
      count += histogram.count_in(i);
    }
  }
  return static_cast<std::int64_t>(count);
}

// The counts up to the last that is not 0; n zeros in a row are the number -n.
std::string encode_counts(const LatencyHistogram& histogram) {
  std::string counts;
  std::int64_t zeros = 0;
  for (std::size_t bucket = 0; bucket < kHdrBuckets; ++bucket) {
    const std::int64_t count = count_in(histogram, bucket);
    if (count == 0) {
      ++zeros;
      continue;
    }
    if (zeros > 0) append_zig_zag(counts, -zeros);
    zeros = 0;
    append_zig_zag(counts, count);
  }
  return counts;
}

std::string encode(const LatencyHistogram& histogram) {
  const std::string counts = encode_counts(histogram);
  // The least that the format's readers accept as a range is 1 to 2.
  const std::uint64_t highest_trackable =
      std::clamp<std::uint64_t>(histogram.max_ns(), 2, kLargestHdrValue);
  std::string bytes;
  append_big_endian(bytes, kCookie);
  append_big_endian(bytes, static_cast<std::uint32_t>(counts.size()));
  append_big_endian(bytes, std::uint32_t{0});  // normalizing index offset: not shifted
  append_big_endian(bytes, kSignificantDigits);
  append_big_endian(bytes, std::uint64_t{1});  // lowest discernible value: the unit is 1 ns
  append_big_endian(bytes, highest_trackable);
  append_big_endian(bytes, std::bit_cast<std::uint64_t>(1.0));  // integer to double ratio
  return bytes + counts;
}

std::string deflated(std::string_view bytes) {
  uLongf size = compressBound(bytes.size());
  std::string out(size, '\0');
  // compress() fails for want of memory only: the room is what it asked for.
  if (compress(reinterpret_cast<Bytef*>(out.data()), &size,
               reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) != Z_OK) {
    throw std::bad_alloc();
  }
  out.resize(size);
  return out;
}

// RFC 4648, section 4.
std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t begin = 0; begin < bytes.size(); begin += 3) {
    const std::string_view group = bytes.substr(begin, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      bits = bits << 8U | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      text.push_back(i <= group.size() ? kDigits[bits >> (18 - 6 * i) & 0x3f] : '=');
    }
  }
  return text;
}

}  // namespace

std::string encode_hdr_histogram(const LatencyHistogram& histogram) {
  const std::string contents = deflated(encode(histogram));
  std::string bytes;
  append_big_endian(bytes, kCompressedCookie);
  append_big_endian(bytes, static_cast<std::uint32_t>(contents.size()));
  return base64(bytes + contents);
}

std::string histogram_log(const LoadResult& result, std::chrono::system_clock::time_point ended) {
  using Seconds = std::chrono::duration<double>;
  const double started_s = Seconds(ended.time_since_epoch()).count() - result.seconds;
  const auto started = static_cast<std::time_t>(started_s);
  constexpr double kNanosecondsPerMillisecond = 1e6;
  return fmt::format(
      "#[Histogram log format version 1.3]\n"
      "#[StartTime: {:.3f} (seconds since epoch), {:%a %b %d %H:%M:%S UTC %Y}]\n"
      "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
      "{:.3f},{:.3f},{:.3f},{}\n",
      started_s, fmt::gmtime(started), 0.0, result.seconds,
      static_cast<double>(result.latency.max_ns()) / kNanosecondsPerMillisecond,
      encode_hdr_histogram(result.latency));
}

}  // namespace evpool::bench
