#include "bench/load/collector.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace evpool::bench {
namespace {

std::unique_ptr<IntervalPart> part(std::uint64_t sent, std::uint64_t latency_ns) {
  auto made = std::make_unique<IntervalPart>();
  made->sent = sent;
  made->ok = 1;
  made->in_flight = 2;
  made->latency.record(latency_ns);
  return made;
}

TEST(Collector, an_interval_is_the_sum_of_its_threads) {
  Collector collector(2, 0.5);
  collector.deliver(0, *part(10, 100));
  collector.deliver(0, *part(5, 7));
  collector.deliver(1, *part(1, 50));
  collector.finish(2);
  collector.deliver(1, *part(2, 60));
  collector.finish(2);
  std::vector<IntervalRow> rows;
  collector.wait([&](const IntervalRow& row) { rows.push_back(row); });
  ASSERT_EQ(rows.size(), 2U);
  ASSERT_EQ(collector.series().size(), 2U);
  EXPECT_EQ(rows[0].begin_s, 0);
  EXPECT_EQ(rows[0].length_s, 0.5);
  EXPECT_EQ(rows[0].sent, 15U);
  EXPECT_EQ(rows[0].ok, 2U);
  EXPECT_EQ(rows[0].in_flight, 4U);
  EXPECT_EQ(rows[0].p50_ns, 7U);
  EXPECT_EQ(rows[0].max_ns, 100U);
  EXPECT_EQ(rows[1].begin_s, 0.5);
  EXPECT_EQ(rows[1].sent, 3U);
  EXPECT_EQ(rows[1].max_ns, 60U);
  EXPECT_EQ(collector.latency().count(), 4U);
}

// What comes after the end of sending, in no time: 284 replies in 2 ms are not 142,000 a second.
TEST(Collector, a_short_rest_at_the_end_belongs_to_the_row_before) {
  Collector collector(1, 1);
  for (std::size_t index = 0; index < 3; ++index) {
    auto whole = part(20'000, 100);
    whole->ok = 20'000;
    collector.deliver(index, *whole);
  }
  auto rest = part(0, 5'000);
  rest->ok = 284;
  rest->in_flight = 0;
  rest->cut_short = true;
  collector.deliver(3, *rest);
  collector.finish(4);
  std::size_t shown = 0;
  collector.wait([&](const IntervalRow&) { ++shown; });
  EXPECT_EQ(shown, 3U) << "the rest has no rate to be shown while the run goes on";
  collector.end_series(3.002);
  ASSERT_EQ(collector.series().size(), 3U);
  const IntervalRow& last = collector.series().back();
  EXPECT_EQ(last.begin_s, 2);
  EXPECT_NEAR(last.length_s, 1.002, 1e-9);
  EXPECT_EQ(last.sent, 20'000U);
  EXPECT_EQ(last.ok, 20'284U);
  EXPECT_EQ(last.in_flight, 0U);
  EXPECT_EQ(last.p50_ns, 100U);
  EXPECT_GE(last.max_ns, 5'000U);
  EXPECT_EQ(collector.latency().count(), 4U);
  EXPECT_EQ(collector.series().front().ok, 20'000U);
}

TEST(Collector, half_an_interval_at_the_end_is_a_row_of_its_own_length) {
  Collector collector(1, 1);
  collector.deliver(0, *part(100, 1));
  collector.deliver(1, *part(60, 1));
  collector.finish(2);
  collector.wait({});
  collector.end_series(1.6);
  ASSERT_EQ(collector.series().size(), 2U);
  EXPECT_EQ(collector.series()[0].length_s, 1);
  EXPECT_NEAR(collector.series()[1].length_s, 0.6, 1e-9);
}

TEST(Collector, a_run_shorter_than_half_an_interval_has_one_row_of_its_length) {
  Collector collector(1, 1);
  collector.deliver(0, *part(100, 1));
  collector.finish(1);
  collector.wait({});
  collector.end_series(0.1);
  ASSERT_EQ(collector.series().size(), 1U);
  EXPECT_NEAR(collector.series()[0].length_s, 0.1, 1e-9);
}

TEST(Collector, a_row_comes_while_the_run_goes_on) {
  Collector collector(2, 1);
  collector.deliver(0, *part(1, 1));
  collector.deliver(0, *part(1, 1));
  std::size_t rows = 0;
  // The threads go on only when the row is there, so this would hang if it came at the end.
  collector.wait([&](const IntervalRow&) {
    if (++rows > 1) return;
    for (int thread = 0; thread < 2; ++thread) {
      collector.deliver(1, *part(1, 1));
      collector.finish(2);
    }
  });
  EXPECT_EQ(rows, 2U);
}

// Told before anybody waits, and after.
TEST(Collector, a_thread_that_has_ended_early_neither_makes_nor_holds_up_a_row) {
  Collector collector(2, 1);
  collector.deliver(0, *part(1, 1));
  collector.finish(1);
  collector.deliver(0, *part(10, 1));
  std::vector<std::uint64_t> sent;
  collector.wait([&](const IntervalRow& row) {
    sent.push_back(row.sent);
    if (sent.size() < 5) collector.deliver(sent.size(), *part(10, 1));
    if (sent.size() == 5) collector.finish(5);
  });
  EXPECT_EQ(sent, (std::vector<std::uint64_t>{11, 10, 10, 10, 10}));
  EXPECT_EQ(collector.series().size(), 5U);
}

TEST(Collector, a_row_waits_for_the_slowest_thread) {
  Collector collector(3, 1);
  for (std::size_t index = 0; index < 3; ++index) {
    collector.deliver(index, *part(1, 1));
    collector.deliver(index, *part(1, 1));
  }
  collector.finish(3);
  std::vector<std::uint64_t> sent;
  std::thread waiting(
      [&] { collector.wait([&](const IntervalRow& row) { sent.push_back(row.sent); }); });
  for (std::size_t index = 0; index < 1'000; ++index) {
    collector.deliver(index, *part(10, 1));
    if (index >= 3) collector.deliver(index, *part(1, 1));
  }
  collector.finish(1'000);
  collector.finish(1'000);
  waiting.join();
  ASSERT_EQ(sent.size(), 1'000U);
  for (std::size_t index = 0; index < 1'000; ++index) {
    ASSERT_EQ(sent[index], index < 3 ? 12U : 11U) << index;
  }
}

}  // namespace
}  // namespace evpool::bench
