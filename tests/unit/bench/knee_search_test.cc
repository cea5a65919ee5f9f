#include "bench/load/knee_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace evpool::bench {
namespace {

Trial holds_if(bool holds) { return holds ? Trial::holds : Trial::fails; }

TEST(KneeSearch, finds_the_knee_from_wherever_it_begins) {
  for (const double knee : {1.0, 37.0, 1'000.0, 123'456.0, 50'000'000.0}) {
    for (const double first : {0.5, 1'000.0, 1'000'000.0}) {
      const Knee found = find_knee({.first_rate = first, .precision = 0.02},
                                   [knee](double rate) { return holds_if(rate <= knee); });
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
        return holds_if(rate <= 100);
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
      return Trial::holds;
    }
    return holds_if(rate <= 150);
  });
  EXPECT_TRUE(found.confirmed);
  EXPECT_LE(found.rate, 150);
  EXPECT_GE(found.rate * 1.06, 150);
}

TEST(KneeSearch, says_that_nothing_holds) {
  const Knee found = find_knee({}, [](double) { return Trial::fails; });
  EXPECT_EQ(found.rate, 0);
  EXPECT_FALSE(found.confirmed);
}

TEST(KneeSearch, ends_where_everything_holds) {
  const Knee found = find_knee({}, [](double) { return Trial::holds; });
  EXPECT_GE(found.rate, 1e8);
}

TEST(KneeSearch, ends_after_as_many_trials_as_it_may) {
  std::size_t trials = 0;
  const Knee found = find_knee({.precision = 0.001, .most_trials = 7},
                               [&trials](double) { return holds_if(++trials % 2 == 0); });
  EXPECT_FALSE(found.confirmed);
  EXPECT_EQ(trials, 7U);
}

TEST(KneeSearch, a_rate_that_could_not_be_measured_is_tried_again) {
  // Every other run goes wrong.
  bool wrong = false;
  const Knee found = find_knee({.first_rate = 100}, [&wrong](double rate) {
    wrong = !wrong;
    return wrong ? Trial::unmeasured : holds_if(rate <= 150);
  });
  EXPECT_TRUE(found.confirmed);
  EXPECT_LE(found.rate, 150);
  EXPECT_GE(found.rate * 1.06, 150);
  EXPECT_FALSE(found.beyond_is_unmeasured);
}

TEST(KneeSearch, says_when_only_what_cannot_be_measured_is_beyond) {
  std::vector<double> unmeasured;
  const Knee found = find_knee({.first_rate = 100}, [&unmeasured](double rate) {
    if (rate <= 1'000) return Trial::holds;
    unmeasured.push_back(rate);
    return Trial::unmeasured;
  });
  EXPECT_TRUE(found.confirmed);
  EXPECT_TRUE(found.beyond_is_unmeasured);
  EXPECT_LE(found.rate, 1'000);
  EXPECT_GT(found.rate_beyond, 1'000);
  ASSERT_GE(unmeasured.size(), 3U);
  EXPECT_EQ(unmeasured[0], unmeasured[2]) << "three tries";
}

TEST(KneeSearch, a_server_that_fails_below_what_cannot_be_measured_has_a_knee) {
  const Knee found = find_knee({.first_rate = 100}, [](double rate) {
    return rate > 1'000 ? Trial::unmeasured : holds_if(rate <= 900);
  });
  EXPECT_TRUE(found.confirmed);
  EXPECT_FALSE(found.beyond_is_unmeasured);
  EXPECT_LE(found.rate_beyond, 1'000);
}

TEST(KneeSearch, tells_what_it_knows_when_it_is_given_up) {
  std::size_t trials = 0;
  const Knee found = find_knee({.first_rate = 100}, [&trials](double rate) {
    return ++trials == 4 ? Trial::given_up : holds_if(rate <= 250);
  });
  EXPECT_TRUE(found.given_up);
  EXPECT_FALSE(found.confirmed);
  EXPECT_EQ(found.rate, 200);
  EXPECT_EQ(found.rate_beyond, 400);
}

TEST(KneeSearch, can_be_given_up_by_a_failure) {
  EXPECT_THROW(
      static_cast<void>(find_knee({}, [](double) -> Trial { throw std::runtime_error(""); })),
      std::runtime_error);
}

}  // namespace
}  // namespace evpool::bench
