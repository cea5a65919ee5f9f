// The line through points, and how far the farthest lies from it.
#include "bench/line_fit.h"

#include <gtest/gtest.h>

#include <array>

namespace evpool::bench {
namespace {

TEST(LineFit, finds_the_line_that_points_lie_on) {
  const std::array<SizedTime, 4> points = {{{1, 12}, {10, 30}, {100, 210}, {1'000'000, 2'000'010}}};
  const LineFit fit = fit_line(points);
  EXPECT_NEAR(fit.a, 10, 1e-6);
  EXPECT_NEAR(fit.b, 2, 1e-9);
  EXPECT_NEAR(fit.worst, 0, 1e-6);
}

TEST(LineFit, says_how_far_the_farthest_point_is_off) {
  // Twice as long as its neighbours say.
  const std::array<SizedTime, 5> points = {{{1, 1}, {2, 2}, {3, 6}, {4, 4}, {5, 5}}};
  EXPECT_GT(fit_line(points).worst, 0.4);
  EXPECT_LT(fit_line(points).worst, 0.6);
}

TEST(LineFit, cares_for_small_times_as_for_large_ones) {
  // By absolute distances the large one would pull the line to where the small one is off twofold.
  const std::array<SizedTime, 3> points = {{{1, 10}, {1'000, 1'010}, {1'000'000, 1'100'000}}};
  EXPECT_LT(fit_line(points).worst, 0.1);
}

}  // namespace
}  // namespace evpool::bench
