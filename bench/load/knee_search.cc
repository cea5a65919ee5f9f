#include "bench/load/knee_search.h"

#include <algorithm>
#include <cmath>

namespace evpool::bench {
namespace {

// Below this nobody asks for a server's knee, above it no machine sends.
constexpr double kLowestRate = 0.1;
constexpr double kHighestRate = 1e9;

}  // namespace

Knee find_knee(const KneeSearch& search, const std::function<bool(double)>& holds) {
  Knee knee;
  const auto try_rate = [&](double rate) {
    ++knee.trials;
    return holds(rate);
  };
  double good = 0;                // held once
  double bad = kHighestRate * 2;  // did not
  double rate = search.first_rate;
  while (knee.trials < search.most_trials) {
    const bool bracketed = good > 0 && bad <= kHighestRate;
    if (!bracketed || bad / good > 1 + search.precision) {
      if (bracketed) rate = std::sqrt(good * bad);
      if (try_rate(rate)) {
        good = rate;
        if (bad > kHighestRate) rate *= 2;
        if (rate > kHighestRate) bad = kHighestRate;
      } else {
        bad = rate;
        if (good == 0) rate /= 2;
        if (rate < kLowestRate) return knee;
      }
      continue;
    }
    // Close enough: is it so again and again? The run that found it is one of them.
    std::size_t held = 1;
    std::size_t failed = 0;
    while (held <= search.repeats / 2 && failed <= search.repeats / 2 &&
           held + failed < search.repeats) {
      ++(try_rate(good) ? held : failed);
    }
    if (held > search.repeats / 2) {
      knee.rate = good;
      knee.confirmed = true;
      return knee;
    }
    bad = good;
    rate = good / (1 + search.precision);
    good = 0;
  }
  knee.rate = good;
  return knee;
}

}  // namespace evpool::bench
