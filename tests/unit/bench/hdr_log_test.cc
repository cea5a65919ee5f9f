#include "bench/hdr_log.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace evpool::bench {
namespace {

// A decoder written from the format's description, and knowing nothing of the encoder.

std::string from_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) throw std::runtime_error("base64 without its padding");
  std::string bytes;
  std::uint32_t bits = 0;
  unsigned bit_count = 0;
  for (const char digit : text.substr(0, text.find('='))) {
    const auto value = kDigits.find(digit);
    if (value == std::string_view::npos) throw std::runtime_error("no base64 digit");
    bits = bits << 6U | static_cast<std::uint32_t>(value);
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      bytes.push_back(static_cast<char>(bits >> bit_count & 0xff));
    }
  }
  return bytes;
}

std::uint64_t big_endian(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (const char byte : bytes.substr(at, size)) {
    value = value << 8U | static_cast<unsigned char>(byte);
  }
  return value;
}

std::string inflated(std::string_view bytes) {
  std::string out(1U << 20U, '\0');
  uLongf size = out.size();
  if (uncompress(reinterpret_cast<Bytef*>(out.data()), &size,
                 reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) != Z_OK) {
    throw std::runtime_error("not zlib's format");
  }
  out.resize(size);
  return out;
}

std::int64_t next_number(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 9; ++i) {
    if (bytes.empty()) throw std::runtime_error("cut short");
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    const bool last = i == 8 || byte < 0x80;
    value |= std::uint64_t{last ? byte : byte & 0x7fU} << (7 * i);
    if (last) break;
  }
  return static_cast<std::int64_t>(value >> 1U ^ (0 - (value & 1U)));
}

// The encoding after base64 and zlib: its header and its counts.
std::string contents_of(const LatencyHistogram& histogram) {
  const std::string bytes = from_base64(encode_hdr_histogram(histogram));
  EXPECT_EQ(big_endian(bytes, 0, 4), 0x1c849314U);
  EXPECT_EQ(big_endian(bytes, 4, 4), bytes.size() - 8);
  return inflated(std::string_view(bytes).substr(8));
}

using Counts = std::map<std::size_t, std::uint64_t>;  // by index, without zeros

Counts decoded(const LatencyHistogram& histogram) {
  const std::string contents = contents_of(histogram);
  std::string_view numbers = std::string_view(contents).substr(40);
  EXPECT_EQ(big_endian(contents, 4, 4), numbers.size());
  Counts counts;
  std::size_t index = 0;
  while (!numbers.empty()) {
    const std::int64_t number = next_number(numbers);
    if (number < 0) {
      index += static_cast<std::size_t>(-number);
    } else {
      counts[index++] = static_cast<std::uint64_t>(number);
    }
  }
  return counts;
}

Counts counts_of(const LatencyHistogram& histogram) {
  Counts counts;
  for (std::size_t i = 0; i < LatencyHistogram::buckets(); ++i) {
    if (histogram.count_in(i) > 0) counts[i] = histogram.count_in(i);
  }
  return counts;
}

LatencyHistogram histogram_of(std::initializer_list<std::uint64_t> values) {
  LatencyHistogram histogram;
  for (const std::uint64_t value : values) histogram.record(value);
  return histogram;
}

TEST(HdrLog, an_empty_histogram_has_a_header_and_no_counts) {
  EXPECT_EQ(contents_of({}).size(), 40U);
  EXPECT_TRUE(decoded({}).empty());
}

TEST(HdrLog, the_header_is_that_of_two_digits_in_nanoseconds) {
  const std::string contents = contents_of(histogram_of({0, 1000}));
  const std::string_view golden(
      "\x1c\x84\x93\x13"                   // V2
      "\x00\x00\x00\x04"                   // bytes of counts
      "\x00\x00\x00\x00"                   // not shifted
      "\x00\x00\x00\x02"                   // digits
      "\x00\x00\x00\x00\x00\x00\x00\x01"   // the unit
      "\x00\x00\x00\x00\x00\x00\x03\xe8"   // highest trackable: 1000
      "\x3f\xf0\x00\x00\x00\x00\x00\x00",  // 1.0
      40);
  EXPECT_EQ(contents.substr(0, 40), golden);
  // One 0; then 505 zeros, up to the index of 1000: 3 * 128 + (1000 / 4 - 128) = 506; then one.
  EXPECT_EQ(contents.substr(40), std::string_view("\x02\xf1\x07\x02", 4));
}

TEST(HdrLog, what_is_decoded_is_what_was_recorded) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latency(12, 3);
  LatencyHistogram histogram;
  for (int i = 0; i < 100'000; ++i) histogram.record(static_cast<std::uint64_t>(latency(random)));
  EXPECT_EQ(decoded(histogram), counts_of(histogram));
}

TEST(HdrLog, one_value_of_any_size_is_found_again) {
  for (unsigned bit = 0; bit < 63; ++bit) {
    const std::uint64_t value = std::uint64_t{1} << bit;
    for (const std::uint64_t near : {value - 1, value, value + value / 3}) {
      const LatencyHistogram histogram = histogram_of({near});
      EXPECT_EQ(decoded(histogram), counts_of(histogram)) << near;
    }
  }
}

TEST(HdrLog, hours_fit) {
  constexpr std::uint64_t kHour = 3'600'000'000'000;
  const LatencyHistogram histogram = histogram_of({1, kHour, 100 * kHour});
  EXPECT_EQ(decoded(histogram), counts_of(histogram));
  EXPECT_EQ(big_endian(contents_of(histogram), 24, 8), 100 * kHour);
}

TEST(HdrLog, values_beyond_the_formats_range_are_still_counted) {
  const Counts counts = decoded(histogram_of({UINT64_MAX, std::uint64_t{1} << 63U}));
  EXPECT_EQ(counts, (Counts{{57 * 128 - 1, 2}}));
}

TEST(HdrLog, a_count_that_needs_nine_bytes_is_kept) {
  LatencyHistogram histogram = histogram_of({5});
  for (int doublings = 0; doublings < 61; ++doublings) histogram.merge(histogram);
  EXPECT_EQ(decoded(histogram), (Counts{{5, std::uint64_t{1} << 61U}}));
}

TEST(HdrLog, the_log_has_a_legend_and_one_dated_line) {
  LoadResult result;
  result.seconds = 2.5;
  result.latency = histogram_of({1'500'000});
  const auto ended =
      std::chrono::system_clock::time_point(std::chrono::milliseconds(1'000'002'500));
  std::istringstream log(histogram_log(result, ended));
  std::string line;
  std::getline(log, line);
  EXPECT_EQ(line, "#[Histogram log format version 1.3]");
  std::getline(log, line);
  EXPECT_EQ(line, "#[StartTime: 1000000.000 (seconds since epoch), Mon Jan 12 13:46:40 UTC 1970]");
  std::getline(log, line);
  EXPECT_EQ(line,
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
            "\"Interval_Compressed_Histogram\"");
  std::getline(log, line);
  EXPECT_EQ(line, "0.000,2.500,1.500," + encode_hdr_histogram(result.latency));
  EXPECT_EQ(line.substr(18, 8), "HISTFAAA");
  EXPECT_FALSE(std::getline(log, line));
}

}  // namespace
}  // namespace evpool::bench
