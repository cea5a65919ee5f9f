#include "bench/live_display.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <limits>
#include <string>

namespace evpool::bench {
namespace {

Progress usual() {
  return {.interval = {.begin_s = 1,
                       .length_s = 0.5,
                       .sent = 6'300,
                       .ok = 6'150,
                       .in_flight = 800,
                       .p50_ns = 84'000,
                       .p99_ns = 1'230'000,
                       .max_ns = 30'400'000},
          .left_s = 11.2};
}

std::size_t characters(const std::string& text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  return count;
}

TEST(LiveLine, says_how_the_run_stands) {
  EXPECT_EQ(live_line(usual(), {}, 80),
            "12.3k/s  p50 84us p99 1.2ms max 30ms  in flight 800  12s left");
}

TEST(LiveLine, names_losses_and_lag_when_there_are_any) {
  Progress progress = usual();
  progress.interval.lost = 3;
  progress.interval.wrong = 1'200;
  progress.interval.refused = 7;
  progress.interval.lag_max_ns = 950;
  EXPECT_EQ(live_line(progress, {}, 200),
            "12.3k/s  p50 84us p99 1.2ms max 30ms  in flight 800  refused 7  lost 3  wrong 1.20k  "
            "lag 950ns  12s left");
}

TEST(LiveLine, draws_the_rates_from_zero_to_the_greatest) {
  EXPECT_EQ(live_line(usual(), {0, 100, 200, 300, 400, 500, 600, 700}, 80),
            "12.3k/s ▁▂▃▄▅▆▇█  p50 84us p99 1.2ms max 30ms  in flight 800  12s left");
  // Small differences stay small.
  EXPECT_NE(live_line(usual(), {1000, 1010, 990, 1000}, 80).find(" ████  "), std::string::npos);
  EXPECT_NE(live_line(usual(), {0, 0, 0, 0}, 80).find(" ▁▁▁▁  "), std::string::npos);
}

TEST(LiveLine, keeps_the_latest_rates_when_there_is_no_room_for_all) {
  std::deque<double> rates(19, 0.0);
  rates.push_back(700);
  const std::string narrow = live_line(usual(), rates, 70);
  EXPECT_EQ(characters(narrow), 70U);
  EXPECT_NE(narrow.find("▁▁▁█  p50"), std::string::npos) << narrow;
  rates.push_front(700);
  const std::string wide = live_line(usual(), rates, 200);
  EXPECT_NE(wide.find("/s ▁▁"), std::string::npos) << wide;  // 20, and not the oldest
}

TEST(LiveLine, is_never_wider_than_it_may_be) {
  Progress progress = usual();
  progress.interval.lost = 12'345;
  progress.interval.wrong = 12'345;
  progress.interval.lag_max_ns = 1'234'567;
  const std::deque<double> rates(20, 5.0);
  for (std::size_t columns = 0; columns <= 120; ++columns) {
    const std::string line = live_line(progress, rates, columns);
    EXPECT_LE(characters(line), columns) << line;
    EXPECT_GE(characters(line), std::min<std::size_t>(columns, 60)) << line;
    EXPECT_NE(static_cast<unsigned char>(line.empty() ? 'x' : line.back()) & 0xC0U, 0xC0U)
        << "a character cut in two";
  }
}

TEST(LiveLine, an_interval_without_replies_or_length_has_no_latency_and_no_nan) {
  EXPECT_EQ(live_line({}, {0}, 80), "0/s ▁  p50 - p99 - max -  in flight 0  0s left");
  Progress nothing;
  nothing.interval.ok = 5;  // and no length
  nothing.left_s = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(live_line(nothing, {}, 80), "0/s  p50 0ns p99 0ns max 0ns  in flight 0");
  nothing.left_s = std::numeric_limits<double>::infinity();
  EXPECT_EQ(live_line(nothing, {}, 80).find("left"), std::string::npos);
}

TEST(LiveLine, units_change_where_a_number_would_need_a_fourth_digit) {
  const auto latency = [](std::uint64_t duration_ns) {
    Progress progress = usual();
    progress.interval.max_ns = duration_ns;
    const std::string line = live_line(progress, {}, 80);
    const std::size_t begin = line.find("max ") + 4;
    return line.substr(begin, line.find("  ", begin) - begin);
  };
  EXPECT_EQ(latency(999), "999ns");
  EXPECT_EQ(latency(1'000), "1.0us");
  EXPECT_EQ(latency(9'949), "9.9us");
  EXPECT_EQ(latency(9'951), "10us");
  EXPECT_EQ(latency(999'499), "999us");
  EXPECT_EQ(latency(999'501), "1.0ms");
  EXPECT_EQ(latency(70'000'000'000), "70s");
  const auto rate = [](std::uint64_t ok) {
    Progress progress;
    progress.interval.ok = ok;
    progress.interval.length_s = 1;
    const std::string line = live_line(progress, {}, 80);
    return line.substr(0, line.find("/s"));
  };
  EXPECT_EQ(rate(999), "999");
  EXPECT_EQ(rate(1'000), "1.00k");
  EXPECT_EQ(rate(999'499), "999k");
  EXPECT_EQ(rate(999'500), "1.00M");
  EXPECT_EQ(rate(1'234'000'000'000), "1234G");
}

TEST(LiveLine, counts_minutes) {
  Progress progress = usual();
  progress.left_s = 184.5;
  EXPECT_NE(live_line(progress, {}, 80).find("  3m05s left"), std::string::npos);
}

// What was written to a file that plays the terminal; it has no width, so 80 columns are assumed.
class LiveDisplayTest : public testing::Test {
 protected:
  LiveDisplayTest() : file_(std::tmpfile()) {}
  ~LiveDisplayTest() override { std::fclose(file_); }
  std::string written() {
    std::string text;
    std::rewind(file_);
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) text += static_cast<char>(c);
    return text;
  }
  std::FILE* const file_;
};

TEST_F(LiveDisplayTest, draws_over_its_line_and_clears_it_at_the_end) {
  {
    LiveDisplay display(file_, true);
    display.show(usual());
    display.show(usual());
  }
  EXPECT_EQ(written(), "\r" + live_line(usual(), {12'300.0}, 79) + "\x1b[K" + "\r" +
                           live_line(usual(), {12'300.0, 12'300.0}, 79) + "\x1b[K" + "\r\x1b[K");
}

TEST_F(LiveDisplayTest, shows_the_last_twenty_rates_within_79_columns) {
  {
    LiveDisplay display(file_, true);
    for (int i = 0; i < 30; ++i) display.show(usual());
  }
  const std::string text = written();
  const std::size_t last = text.rfind("\r12.3k/s");
  ASSERT_NE(last, std::string::npos);
  const std::string line = text.substr(last + 1, text.find('\x1b', last) - last - 1);
  EXPECT_EQ(line, live_line(usual(), std::deque<double>(20, 12'300.0), 79));
  EXPECT_EQ(characters(line), 79U);
}

TEST_F(LiveDisplayTest, clears_once_and_only_what_it_has_drawn) {
  {
    LiveDisplay display(file_, true);
    display.clear();
    display.show(usual());
    display.clear();
  }
  EXPECT_EQ(written(), "\r" + live_line(usual(), {12'300.0}, 79) + "\x1b[K\r\x1b[K");
}

TEST_F(LiveDisplayTest, writes_nothing_where_there_is_no_terminal) {
  {
    LiveDisplay display(file_, false);
    display.show(usual());
  }
  EXPECT_EQ(written(), "");
}

}  // namespace
}  // namespace evpool::bench
