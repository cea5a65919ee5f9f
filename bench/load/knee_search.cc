#include "bench/load/knee_search.h"

#include <algorithm>
#include <cmath>

namespace evpool::bench {
namespace {

// Below this nobody asks for a server's knee, above it no machine sends.
constexpr double kLowestRate = 0.1;
constexpr double kHighestRate = 1e9;

}  // namespace

Knee find_knee(const KneeSearch& search, const std::function<Trial(double)>& run) {
  Knee knee;
  double& good = knee.rate;       // held once
  double bad = kHighestRate * 2;  // did not
  const auto try_rate = [&](double rate) {
    Trial trial = Trial::unmeasured;
    for (std::size_t i = 0; i < search.most_tries && trial == Trial::unmeasured; ++i) {
      ++knee.trials;
      trial = run(rate);
    }
    knee.given_up = trial == Trial::given_up;
    return trial;
  };
  const auto bound_by = [&](double rate, bool unmeasured) {
    bad = knee.rate_beyond = rate;
    knee.beyond_is_unmeasured = unmeasured;
  };
  double rate = search.first_rate;
  while (knee.trials < search.most_trials) {
    const bool bracketed = good > 0 && bad <= kHighestRate;
    if (!bracketed || bad / good > 1 + search.precision) {
      if (bracketed) rate = std::sqrt(good * bad);
      const Trial trial = try_rate(rate);
      if (knee.given_up) return knee;
      if (trial == Trial::holds) {
        good = rate;
        if (bad > kHighestRate) rate *= 2;
        if (rate > kHighestRate) bad = kHighestRate;
      } else {
        bound_by(rate, trial == Trial::unmeasured);
        if (good == 0) rate /= 2;
        if (rate < kLowestRate) return knee;
      }
      continue;
    }
    // Close enough: is it so again and again? The run that found it is one of them.
    std::size_t held = 1;
    std::size_t failed = 0;
    bool any_unmeasured = false;
    while (held <= search.repeats / 2 && failed <= search.repeats / 2 &&
           held + failed < search.repeats) {
      const Trial trial = try_rate(good);
      if (knee.given_up) return knee;
      ++(trial == Trial::holds ? held : failed);
      any_unmeasured |= trial == Trial::unmeasured;
    }
    if (held > search.repeats / 2) {
      knee.confirmed = true;
      return knee;
    }
    bound_by(good, any_unmeasured);
    rate = good / (1 + search.precision);
    good = 0;
  }
  return knee;
}

}  // namespace evpool::bench
