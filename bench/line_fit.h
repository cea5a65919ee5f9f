// How well a time grows in proportion to a size: time = a + b x size.
#pragma once

#include <span>

namespace evpool::bench {

struct SizedTime {
  double size = 0;
  double time = 0;
};

struct LineFit {
  double a = 0;
  double b = 0;
  // The greatest distance of a point from the line, as a part of the point's time.
  double worst = 0;
};

// The line with the least sum of squared relative distances, so that small times count as much as
// large ones. REQUIRES: at least two sizes; all times are above 0.
[[nodiscard]] LineFit fit_line(std::span<const SizedTime> points);

}  // namespace evpool::bench
