#include "bench/load/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace evpool::bench {
namespace {

LoadOptions with_mix(std::vector<MixEntry> mix) {
  LoadOptions options;
  options.mix = std::move(mix);
  return options;
}

MixEntry entry(std::string job, double weight = 1, SizeDistribution size = {}) {
  return {.job = std::move(job), .weight = weight, .size = size, .payload = {}};
}

MixEntry literal(std::string job, std::string payload) {
  return {.job = std::move(job), .weight = 1, .size = {}, .payload = std::move(payload)};
}

SizeDistribution fixed(std::uint32_t bytes) { return {.least = bytes, .most = bytes}; }
SizeDistribution uniform(std::uint32_t least, std::uint32_t most) {
  return {.kind = SizeDistribution::Kind::uniform, .least = least, .most = most};
}
SizeDistribution lognormal(double median, double sigma, std::uint32_t most) {
  return {.kind = SizeDistribution::Kind::lognormal,
          .least = 0,
          .most = most,
          .median = median,
          .sigma = sigma};
}

std::vector<std::uint32_t> sizes_of(const SizeDistribution& size, std::size_t count) {
  const Workload workload(with_mix({entry("sink", 1, size)}));
  Random random = random_for(1, 0);
  std::vector<std::uint32_t> sizes;
  for (std::size_t i = 0; i < count; ++i) sizes.push_back(workload.pick(random).bytes);
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

TEST(Workload, weights_are_honoured) {
  const std::vector<double> weights = {1, 7, 0.5, 3.5};
  const Workload workload(
      with_mix({entry("echo", 1), entry("upper", 7), entry("sleep", 0.5), entry("upper", 3.5)}));
  constexpr std::size_t kPicks = 120'000;
  std::vector<double> picked(weights.size());
  Random random = random_for(42, 0);
  for (std::size_t i = 0; i < kPicks; ++i) ++picked.at(workload.pick(random).entry);
  double chi_square = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double expected = weights[i] / 12 * kPicks;
    chi_square += (picked[i] - expected) * (picked[i] - expected) / expected;
  }
  // With 3 degrees of freedom, exceeded once in a thousand.
  EXPECT_LT(chi_square, 16.27);
  EXPECT_GT(chi_square, 0);
}

TEST(Workload, names_the_job_of_each_entry) {
  const Workload workload(with_mix({entry("echo"), entry("thumbnail")}));
  EXPECT_EQ(workload.job({.entry = 0, .bytes = 1}), "echo");
  EXPECT_EQ(workload.job({.entry = 1, .bytes = 1}), "thumbnail");
}

TEST(Workload, a_fixed_size_is_that) {
  for (const std::uint32_t bytes : {0U, 1U, 32U, 100'000U}) {
    const auto sizes = sizes_of(fixed(bytes), 100);
    EXPECT_EQ(sizes.front(), bytes);
    EXPECT_EQ(sizes.back(), bytes);
  }
}

TEST(Workload, uniform_sizes_take_every_value_of_their_range) {
  const auto sizes = sizes_of(uniform(10, 29), 20'000);
  EXPECT_EQ(sizes.front(), 10U);
  EXPECT_EQ(sizes.back(), 29U);
  double chi_square = 0;
  for (std::uint32_t bytes = 10; bytes < 30; ++bytes) {
    const double found = double(std::count(sizes.begin(), sizes.end(), bytes));
    chi_square += (found - 1'000) * (found - 1'000) / 1'000;
  }
  EXPECT_LT(chi_square, 43.8);  // 19 degrees of freedom, once in a thousand
}

TEST(Workload, lognormal_sizes_have_their_median_and_spread_and_are_cut_off) {
  constexpr std::size_t kSizes = 20'001;
  const auto sizes = sizes_of(lognormal(1'000, 0.5, 3'000), kSizes);
  // The median's deviation is 1.25 * sigma / sqrt(n), of the logarithm: 0.44 %.
  EXPECT_NEAR(sizes[kSizes / 2], 1'000, 1'000 * 5 * 0.0044);
  // A standard deviation above.
  EXPECT_NEAR(sizes[kSizes * 8'413 / 10'000], 1'000 * std::exp(0.5), 60);
  EXPECT_NEAR(sizes[kSizes * 1'587 / 10'000], 1'000 / std::exp(0.5), 30);
  EXPECT_EQ(sizes.back(), 3'000U);
  // ln(3) / 0.5 = 2.197 deviations: 1.4 %.
  EXPECT_NEAR(double(std::count(sizes.begin(), sizes.end(), 3'000U)), 0.014 * kSizes, 90);
}

TEST(Workload, a_literal_payload_is_always_that) {
  const Workload workload(with_mix({literal("upper", "Hello, you"), literal("echo", "")}));
  Random random = random_for(1, 0);
  for (std::uint64_t sequence = 0; sequence < 100; ++sequence) {
    const Workload::Kind kind = workload.pick(random);
    const std::string expected = kind.entry == 0 ? "Hello, you" : "";
    EXPECT_EQ(kind.bytes, expected.size());
    EXPECT_EQ(workload.payload(kind, sequence), expected);
  }
  const Workload::Kind kind{.entry = 0, .bytes = 10};
  EXPECT_TRUE(workload.is_right(kind, 0, "HELLO, YOU"));
  EXPECT_FALSE(workload.is_right(kind, 0, "Hello, you"));
  EXPECT_TRUE(workload.is_right({.entry = 1, .bytes = 0}, 0, ""));
}

TEST(Workload, payloads_of_requests_after_each_other_differ) {
  const Workload workload(with_mix({entry("echo", 1, uniform(0, 1'000))}));
  for (const std::uint32_t bytes : {1U, 2U, 25U, 26U, 27U, 1'000U}) {
    const Workload::Kind kind{.entry = 0, .bytes = bytes};
    std::set<std::string> payloads;
    for (std::uint64_t sequence = 0; sequence < 26; ++sequence) {
      const std::string payload(workload.payload(kind, sequence));
      EXPECT_EQ(payload.size(), bytes);
      payloads.insert(payload);
      EXPECT_EQ(workload.payload(kind, sequence), payload) << "it must be known again";
    }
    EXPECT_EQ(payloads.size(), 26U);
    // As many requests as a run may send.
    EXPECT_EQ(workload.payload(kind, UINT64_MAX).size(), bytes);
  }
}

TEST(Workload, knows_the_right_replies_to_echo_and_upper) {
  const Workload workload(
      with_mix({entry("echo"), entry("upper"), entry("thumbnail"), entry("echo", 1, fixed(0))}));
  const Workload::Kind echo{.entry = 0, .bytes = 32};
  const Workload::Kind upper{.entry = 1, .bytes = 32};
  const Workload::Kind other{.entry = 2, .bytes = 32};
  const Workload::Kind nothing{.entry = 3, .bytes = 0};
  for (std::uint64_t sequence = 0; sequence < 60; ++sequence) {
    const std::string payload(workload.payload(echo, sequence));
    std::string in_upper = payload;
    for (char& c : in_upper) c = static_cast<char>(c - 'a' + 'A');
    EXPECT_TRUE(workload.is_right(echo, sequence, payload));
    EXPECT_FALSE(workload.is_right(echo, sequence, in_upper));
    EXPECT_FALSE(workload.is_right(echo, sequence + 1, payload));
    EXPECT_FALSE(workload.is_right(echo, sequence, payload.substr(1)));
    EXPECT_FALSE(workload.is_right(echo, sequence, payload + "a"));
    EXPECT_TRUE(workload.is_right(upper, sequence, in_upper));
    EXPECT_FALSE(workload.is_right(upper, sequence, payload));
    EXPECT_FALSE(workload.is_right(upper, sequence + 1, in_upper));
    EXPECT_FALSE(workload.is_right(upper, sequence, ""));
    for (std::size_t i = 0; i < payload.size(); ++i) {
      std::string damaged = payload;
      damaged[i] = static_cast<char>(damaged[i] ^ 1);
      EXPECT_FALSE(workload.is_right(echo, sequence, damaged));
    }
    EXPECT_TRUE(workload.is_right(other, sequence, "whatever"));
    EXPECT_TRUE(workload.is_right(nothing, sequence, ""));
    EXPECT_FALSE(workload.is_right(nothing, sequence, "a"));
  }
}

TEST(Workload, verifies_nothing_when_told_so) {
  LoadOptions options = with_mix({entry("echo"), entry("upper")});
  options.verify = false;
  const Workload workload(options);
  EXPECT_TRUE(workload.is_right({.entry = 0, .bytes = 32}, 0, "whatever"));
  EXPECT_TRUE(workload.is_right({.entry = 1, .bytes = 32}, 0, "whatever"));
}

TEST(Workload, a_seed_and_a_thread_are_a_stream_of_random_numbers) {
  EXPECT_EQ(random_for(7, 3)(), random_for(7, 3)());
  EXPECT_NE(random_for(7, 3)(), random_for(7, 4)());
  EXPECT_NE(random_for(7, 3)(), random_for(8, 3)());
  EXPECT_NE(random_for(7, 3)(), random_for(7 + (std::uint64_t{1} << 40U), 3)());
}

// The sentence with which a mix is refused.
std::string refusal(const LoadOptions& options) {
  try {
    const Workload workload(options);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "it was taken";
}
std::string refusal(const MixEntry& entry) { return refusal(with_mix({entry})); }

TEST(Workload, refuses_mixes_that_make_no_sense) {
  EXPECT_EQ(refusal(with_mix({})), "there is no job to send");
  EXPECT_EQ(refusal(entry("")), "a job's name has 1 to 255 bytes, not 0");
  EXPECT_EQ(refusal(entry(std::string(256, 'j'))), "a job's name has 1 to 255 bytes, not 256");
  EXPECT_EQ(refusal(entry(std::string(255, 'j'))), "it was taken");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double weight : {0.0, -1.0, nan, infinity}) {
    EXPECT_EQ(refusal(entry("echo", weight)), "the weight of echo must be above 0");
  }
  EXPECT_EQ(refusal(entry("echo", 1, uniform(3, 2))), "sizes from 3 to 2: the first is the larger");
  EXPECT_EQ(refusal(with_mix({entry("echo"), entry("upper", 0)})),
            "the weight of upper must be above 0")
      << "every entry is looked at";
}

TEST(Workload, refuses_lognormal_sizes_that_are_none) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const std::string sentence = "lognormal sizes need a median and a sigma above 0";
  for (const double wrong : {0.0, -1.0, nan, infinity}) {
    EXPECT_EQ(refusal(entry("echo", 1, lognormal(wrong, 1, 100))), sentence) << wrong;
    EXPECT_EQ(refusal(entry("echo", 1, lognormal(10, wrong, 100))), sentence) << wrong;
  }
}

TEST(Workload, the_largest_payload_of_a_datagram_and_one_byte_more) {
  constexpr std::uint32_t kRoom = 65'507 - 24 - 4;  // behind the header and the name
  const std::string sentence =
      "65480 bytes do not fit a datagram, which has room for 65479 (use tcp)";
  const auto over = [](Transport transport, MixEntry entry) {
    LoadOptions options = with_mix({std::move(entry)});
    options.transport = transport;
    return refusal(options);
  };
  const std::vector<MixEntry> largest = {
      entry("echo", 1, fixed(kRoom)), entry("echo", 1, uniform(0, kRoom)),
      entry("echo", 1, lognormal(9, 1, kRoom)), literal("echo", std::string(kRoom, 'x'))};
  for (const MixEntry& fits : largest) EXPECT_EQ(over(Transport::udp, fits), "it was taken");
  const std::vector<MixEntry> larger = {
      entry("echo", 1, fixed(kRoom + 1)), entry("echo", 1, uniform(0, kRoom + 1)),
      entry("echo", 1, lognormal(9, 1, kRoom + 1)), literal("echo", std::string(kRoom + 1, 'x'))};
  for (const MixEntry& fits_not : larger) {
    EXPECT_EQ(over(Transport::udp, fits_not), sentence);
    EXPECT_EQ(over(Transport::tcp, fits_not), "it was taken");
  }
}

}  // namespace
}  // namespace evpool::bench
