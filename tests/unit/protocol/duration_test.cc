#include "protocol/duration.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>

namespace evpool {
namespace {

using std::chrono::milliseconds;

// What parse_duration says against `text`; empty when it says nothing.
std::string refusal(std::string_view text) {
  try {
    static_cast<void>(parse_duration(text));
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

void expect_refused(std::string_view text, std::string_view why) {
  const std::string message = refusal(text);
  EXPECT_NE(message.find(why), std::string::npos) << "'" << text << "' -> '" << message << "'";
}

TEST(Duration, takes_each_unit) {
  EXPECT_EQ(parse_duration("200ms"), milliseconds(200));
  EXPECT_EQ(parse_duration("2s"), milliseconds(2'000));
  EXPECT_EQ(parse_duration("3m"), milliseconds(180'000));
  EXPECT_EQ(parse_duration("4h"), milliseconds(14'400'000));
}

TEST(Duration, takes_zero_in_each_unit) {
  for (const std::string_view text : {"0ms", "0s", "0m", "0h", "000s"}) {
    EXPECT_EQ(parse_duration(text), milliseconds(0)) << text;
  }
}

TEST(Duration, takes_up_to_32_bits_of_milliseconds) {
  EXPECT_EQ(parse_duration("4294967295ms"), milliseconds(UINT32_MAX));
  EXPECT_EQ(parse_duration("4294967s"), milliseconds(4'294'967'000));
  EXPECT_EQ(parse_duration("71582m"), milliseconds(4'294'920'000));
  EXPECT_EQ(parse_duration("1193h"), milliseconds(4'294'800'000));
}

TEST(Duration, refuses_more_than_32_bits_of_milliseconds) {
  for (const std::string_view text :
       {"4294967296ms", "4294968s", "71583m", "1194h",
        // 64 bits of milliseconds would wrap around: 2^64 / 3,600,000 and the like.
        "5124095576031h", "18446744073709551615ms", "18446744073709551615h",
        "18446744073709551616ms", "99999999999999999999999999s"}) {
    expect_refused(text, "it is longer than 49 days");
  }
}

TEST(Duration, refuses_a_number_without_a_unit) {
  for (const std::string_view text : {"1", "0", "1000", "99999999999999999999999999"}) {
    expect_refused(text, "the unit is missing");
  }
}

TEST(Duration, refuses_another_unit) {
  for (const std::string_view text : {"1d", "1us", "1S", "1MS", "1 s", "1s ", "1sec", "1mss", "1hm",
                                      "1s2ms", "99999999999999999999999999d"}) {
    expect_refused(text, "the unit is not one of ms, s, m, h");
  }
}

TEST(Duration, refuses_a_fraction) {
  expect_refused("1.5s", "the unit is not one of ms, s, m, h");
  expect_refused("1,5s", "the unit is not one of ms, s, m, h");
  expect_refused("1e3ms", "the unit is not one of ms, s, m, h");
  expect_refused(".5s", "it does not start with a whole number");
}

TEST(Duration, refuses_a_sign) {
  expect_refused("-1s", "it does not start with a whole number");
  expect_refused("-0s", "it does not start with a whole number");
  expect_refused("+1s", "it does not start with a whole number");
}

TEST(Duration, refuses_what_has_no_number) {
  for (const std::string_view text : {"", "s", "ms", " ", " 1s", "forever"}) {
    expect_refused(text, "it does not start with a whole number");
  }
  expect_refused(std::string_view(), "it does not start with a whole number");
}

TEST(Duration, says_what_was_given_and_what_is_expected) {
  EXPECT_EQ(refusal("5"),
            "'5' is no duration: the unit is missing (expected such as 200ms, 2s, 1m or 1h)");
}

TEST(Duration, is_written_in_the_largest_unit_that_is_exact) {
  EXPECT_EQ(to_string(milliseconds(1)), "1ms");
  EXPECT_EQ(to_string(milliseconds(999)), "999ms");
  EXPECT_EQ(to_string(milliseconds(1'000)), "1s");
  EXPECT_EQ(to_string(milliseconds(1'001)), "1001ms");
  EXPECT_EQ(to_string(milliseconds(59'000)), "59s");
  EXPECT_EQ(to_string(milliseconds(60'000)), "1m");
  EXPECT_EQ(to_string(milliseconds(61'000)), "61s");
  EXPECT_EQ(to_string(milliseconds(3'540'000)), "59m");
  EXPECT_EQ(to_string(milliseconds(3'600'000)), "1h");
  EXPECT_EQ(to_string(milliseconds(3'660'000)), "61m");
  EXPECT_EQ(to_string(milliseconds(86'400'000)), "24h");
}

TEST(Duration, zero_is_written_in_seconds) { EXPECT_EQ(to_string(milliseconds(0)), "0s"); }

TEST(Duration, is_read_as_it_is_written) {
  std::mt19937 random(6);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same cases each time
  constexpr std::uint32_t kUnits_ms[] = {1, 1'000, 60'000, 3'600'000};
  for (int i = 0; i < 10'000; ++i) {
    const std::uint32_t unit_ms = kUnits_ms[random() % 4];
    const milliseconds duration(random() % (UINT32_MAX / unit_ms) * unit_ms);
    ASSERT_EQ(parse_duration(to_string(duration)), duration) << to_string(duration);
  }
  EXPECT_EQ(parse_duration(to_string(milliseconds(UINT32_MAX))), milliseconds(UINT32_MAX));
}

}  // namespace
}  // namespace evpool
