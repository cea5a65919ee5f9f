#include "bench/numbers.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace evpool::bench {
namespace {

TEST(Counts, take_decimal_suffixes) {
  EXPECT_EQ(parse_count("0"), 0U);
  EXPECT_EQ(parse_count("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_count("20k"), 20'000U);
  EXPECT_EQ(parse_count("20K"), 20'000U);
  EXPECT_EQ(parse_count("1.5M"), 1'500'000U);
  EXPECT_EQ(parse_count("0.001k"), 1U);
  EXPECT_EQ(parse_count("3G"), 3'000'000'000U);
  EXPECT_EQ(parse_count("2Ki"), 2'048U);
  EXPECT_EQ(parse_count("1Mi"), 1'048'576U);
}

TEST(Counts, are_whole_and_within_their_bounds) {
  for (const char* wrong : {"",
                            "k",
                            "-1",
                            "-1k",
                            "+1",
                            "1.5",
                            "1e3",
                            "1.0001k",
                            "20kk",
                            "20 k",
                            " 20",
                            "20kB",
                            "20m",
                            "20x",
                            "0x10",
                            "1.",
                            "1.k",
                            ".5k",
                            "inf",
                            "nan",
                            "1.0000000001G",
                            "18446744073709551616",
                            "18446744073709551615k",
                            "20000000000G"}) {
    EXPECT_THROW(static_cast<void>(parse_count(wrong)), std::invalid_argument) << wrong;
  }
  EXPECT_THROW(static_cast<void>(parse_count("0", 1)), std::invalid_argument);
  EXPECT_EQ(parse_count("20k", 1, 20'000), 20'000U);
  try {
    static_cast<void>(parse_count("21k", 1, 20'000));
    ADD_FAILURE();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(),
                 "'21k': expected a whole number from 1 to 20,000, or one such as 20k or 1.5M");
  }
}

TEST(Sizes, take_binary_suffixes) {
  EXPECT_EQ(parse_bytes("32", 100), 32U);
  EXPECT_EQ(parse_bytes("64K", 1 << 20), 65'536U);
  EXPECT_EQ(parse_bytes("64k", 1 << 20), 65'536U);
  EXPECT_EQ(parse_bytes("64Ki", 1 << 20), 65'536U);
  EXPECT_EQ(parse_bytes("0.5M", 1 << 20), 524'288U);
  EXPECT_EQ(parse_bytes("1G", UINT64_MAX), 1'073'741'824U);
  for (const char* wrong : {"", "-1", "101", "1K", "64KB", "1.5", "18014398509481984K"}) {
    EXPECT_THROW(static_cast<void>(parse_bytes(wrong, 100)), std::invalid_argument) << wrong;
  }
}

TEST(Rates, take_suffixes_and_have_an_end) {
  EXPECT_EQ(parse_rate("0.5"), 0.5);
  EXPECT_EQ(parse_rate("20k"), 20'000);
  EXPECT_EQ(parse_rate("1.5M"), 1.5e6);
  EXPECT_EQ(parse_rate("1G"), 1e9);
  EXPECT_EQ(parse_rate("1e9"), 1e9);
  for (const char* wrong : {"", "0", "0k", "-5", "-5k", "1.1G", "1e12", "inf", "nan", "infk", "k",
                            "20kk", "20 k", "20q", "1e300G"}) {
    EXPECT_THROW(static_cast<void>(parse_rate(wrong)), std::invalid_argument) << wrong;
  }
}

TEST(Numbers, read_well) {
  EXPECT_EQ(number_text(79'621.43411), "79,621");
  EXPECT_EQ(number_text(1'234'567.8), "1,234,568");
  EXPECT_EQ(number_text(1'000), "1,000");
  EXPECT_EQ(number_text(999.96), "1,000");
  EXPECT_EQ(number_text(999.94), "999.9");
  EXPECT_EQ(number_text(930.697), "930.7");
  EXPECT_EQ(number_text(2.5), "2.5");
  EXPECT_EQ(number_text(0.5), "0.5");
  EXPECT_EQ(number_text(0), "0");
  EXPECT_EQ(number_text(-79'621.43), "-79,621");
  EXPECT_EQ(number_text(1e9), "1,000,000,000");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'000), "1,000");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
}

}  // namespace
}  // namespace evpool::bench
