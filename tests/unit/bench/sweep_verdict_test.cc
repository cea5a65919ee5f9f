#include "bench/sweep_verdict.h"

#include <gtest/gtest.h>

#include <vector>

namespace evpool::bench {
namespace {

// All that was due in two seconds, answered after `latency_us`.
LoadResult kept(double rate, std::uint64_t latency_us = 100) {
  LoadResult result;
  result.options.rate = rate;
  result.seconds = 2;
  const auto requests = static_cast<std::uint64_t>(2 * rate);
  result.account.scheduled = result.account.sent = result.account.ok = requests;
  for (std::uint64_t i = 0; i < requests; ++i) result.latency.record(latency_us * 1'000);
  return result;
}

LoadResult invalid(double rate) {
  LoadResult result = kept(rate);
  result.account.scheduled += 1;
  result.account.skipped = 1;
  result.invalid = {"1 was never sent"};
  return result;
}

LoadResult late(double rate) {
  LoadResult result = kept(rate);
  result.invalid = {"the generator could not keep its schedule"};
  result.generator_limited = true;
  return result;
}

// It answered nothing any more.
LoadResult silent(double rate) {
  LoadResult result = kept(rate);
  result.invalid = {"the server answered nothing in the last second"};
  return result;
}

// 2 % of the requests.
LoadResult losing(double rate) {
  LoadResult result = kept(rate);
  result.account.lost = result.account.sent / 50;
  result.account.ok -= result.account.lost;
  return result;
}

// All answered, the last ones a tenth of the time after the end.
LoadResult behind(double rate) {
  LoadResult result = kept(rate);
  result.seconds *= 1.1;
  return result;
}

TEST(SweepVerdict, the_highest_rate_that_was_kept) {
  for (const auto& beyond : {invalid, losing, behind, silent}) {
    const std::vector<LoadResult> results = {kept(1'000),   kept(2'000), beyond(4'000),
                                             beyond(4'000), kept(2'000), kept(1'000)};
    EXPECT_EQ(sweep_verdict(results, 3), "keeps up with 2,000/s; the way down does not differ");
  }
  EXPECT_EQ(sweep_verdict(std::vector{kept(1'000), kept(1'000)}, 1),
            "keeps up with 1,000/s, the highest; the way down does not differ");
  EXPECT_EQ(sweep_verdict(std::vector{losing(1'000), losing(1'000)}, 1),
            "keeps up with no rate; the way down does not differ");
}

TEST(SweepVerdict, a_hiccup_at_a_lower_rate_is_none_of_the_highest) {
  EXPECT_EQ(sweep_verdict(std::vector{kept(1'000), invalid(2'000), kept(4'000), kept(4'000),
                                      invalid(2'000), kept(1'000)},
                          3),
            "keeps up with 4,000/s, the highest; the way down does not differ");
}

TEST(SweepVerdict, few_requests_may_be_fewer_by_chance) {
  LoadResult few = kept(8);  // 16 requests
  few.account.scheduled = few.account.sent = few.account.ok = 7;
  EXPECT_EQ(sweep_verdict(std::vector{few, few}, 1),
            "keeps up with 8/s, the highest; the way down does not differ");
}

TEST(SweepVerdict, a_way_down_that_keeps_less_differs) {
  EXPECT_EQ(
      sweep_verdict(std::vector{kept(1'000), kept(2'000), losing(4'000), losing(4'000),
                                losing(2'000), kept(1'000)},
                    3),
      "keeps up with 2,000/s; the way down differs: 2,000/s is kept up with only on the way up");
}

TEST(SweepVerdict, a_late_generator_is_not_the_servers_fault) {
  EXPECT_EQ(
      sweep_verdict(
          std::vector{kept(1'000), kept(2'000), late(4'000), kept(4'000), late(2'000), kept(1'000)},
          3),
      "keeps up with 2,000/s; the way down does not differ; 2 of 6 runs say nothing, because the "
      "generator was late");
  EXPECT_EQ(
      sweep_verdict(std::vector{kept(1'000), late(1'000)}, 1),
      "keeps up with 1,000/s, the highest; the way down is not known; 1 of 2 runs say nothing, "
      "because the generator was late");
}

TEST(SweepVerdict, a_way_down_that_takes_longer_differs_where_it_does_so_most) {
  EXPECT_EQ(sweep_verdict(std::vector{kept(1'000), kept(2'000), kept(4'000), kept(4'000),
                                      kept(2'000, 500), kept(1'000, 300)},
                          3)
                .substr(0, 62),
            "keeps up with 4,000/s, the highest; the way down differs: p50 ");
  EXPECT_EQ(
      sweep_verdict(std::vector{kept(1'000), kept(2'000), losing(4'000), losing(4'000),
                                kept(2'000, 500), kept(1'000, 150)},
                    3),
      "keeps up with 2,000/s; the way down differs: p50 at 2,000/s is 5 times that of the way up");
}

TEST(SweepVerdict, an_interrupted_one_has_no_way_down) {
  EXPECT_EQ(sweep_verdict(std::vector{kept(1'000)}, 3),
            "keeps up with 1,000/s; the way down is not known: it was not measured to its end");
  EXPECT_EQ(sweep_verdict(std::vector{kept(1'000), kept(2'000), kept(2'000)}, 2),
            "keeps up with 2,000/s, the highest; the way down is not known: it was not measured to "
            "its end");
}

}  // namespace
}  // namespace evpool::bench
