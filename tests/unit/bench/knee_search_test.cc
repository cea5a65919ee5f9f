#include "bench/load/knee_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace evpool::bench {
namespace {

TEST(KneeSearch, finds_the_knee_from_wherever_it_begins) {
  for (const double knee : {1.0, 37.0, 1'000.0, 123'456.0, 50'000'000.0}) {
    for (const double first : {0.5, 1'000.0, 1'000'000.0}) {
      const Knee found = find_knee({.first_rate = first, .precision = 0.02},
                                   [knee](double rate) { return rate <= knee; });
      EXPECT_TRUE(found.confirmed);
      EXPECT_LE(found.rate, knee);
      EXPECT_GE(found.rate * 1.021, knee) << "from " << first;
    }
  }
}

TEST(KneeSearch, repeats_the_rate_found) {
  std::vector<double> rates;
  const Knee found =
      find_knee({.first_rate = 100, .precision = 0.5, .repeats = 5}, [&rates](double rate) {
        rates.push_back(rate);
        return rate <= 100;
      });
  EXPECT_DOUBLE_EQ(found.rate, 100);
  EXPECT_EQ(std::count(rates.begin(), rates.end(), 100.0), 3) << "three of five are most";
  EXPECT_EQ(found.trials, rates.size());
}

TEST(KneeSearch, a_lucky_run_is_not_the_answer) {
  // At 400 one run holds, the first; truly it is 150.
  bool lucky = true;
  const Knee found = find_knee({.first_rate = 100}, [&lucky](double rate) {
    if (rate > 150 && rate <= 400 && lucky) {
      lucky = rate != 400;
      return true;
    }
    return rate <= 150;
  });
  EXPECT_TRUE(found.confirmed);
  EXPECT_LE(found.rate, 150);
  EXPECT_GE(found.rate * 1.06, 150);
}

TEST(KneeSearch, says_that_nothing_holds) {
  const Knee found = find_knee({}, [](double) { return false; });
  EXPECT_EQ(found.rate, 0);
  EXPECT_FALSE(found.confirmed);
}

TEST(KneeSearch, ends_where_everything_holds) {
  const Knee found = find_knee({}, [](double) { return true; });
  EXPECT_GE(found.rate, 1e8);
}

TEST(KneeSearch, ends_after_as_many_trials_as_it_may) {
  std::size_t trials = 0;
  const Knee found = find_knee({.precision = 0.001, .most_trials = 7},
                               [&trials](double) { return ++trials % 2 == 0; });
  EXPECT_FALSE(found.confirmed);
  EXPECT_EQ(trials, 7U);
}

TEST(KneeSearch, can_be_given_up) {
  EXPECT_THROW(
      static_cast<void>(find_knee({}, [](double) -> bool { throw std::runtime_error(""); })),
      std::runtime_error);
}

}  // namespace
}  // namespace evpool::bench
