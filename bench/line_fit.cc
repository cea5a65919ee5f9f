#include "bench/line_fit.h"

#include <algorithm>
#include <cmath>

namespace evpool::bench {

LineFit fit_line(std::span<const SizedTime> points) {
  // Weighted least squares, each weight 1 / time^2.
  double weights = 0;
  double sizes = 0;
  double times = 0;
  for (const SizedTime& point : points) {
    const double weight = 1 / (point.time * point.time);
    weights += weight;
    sizes += weight * point.size;
    times += weight * point.time;
  }
  const double mean_size = sizes / weights;
  const double mean_time = times / weights;
  double spread = 0;
  double together = 0;
  for (const SizedTime& point : points) {
    const double weight = 1 / (point.time * point.time);
    const double distance = point.size - mean_size;
    spread += weight * distance * distance;
    together += weight * distance * (point.time - mean_time);
  }
  LineFit fit;
  fit.b = together / spread;
  fit.a = mean_time - fit.b * mean_size;
  for (const SizedTime& point : points) {
    const double off = std::abs(fit.a + fit.b * point.size - point.time) / point.time;
    fit.worst = std::max(fit.worst, off);
  }
  return fit;
}

}  // namespace evpool::bench
