// The search for the highest rate that a server holds. Pure: what a rate does is asked of the
// caller. One thread.
#pragma once

#include <cstddef>
#include <functional>

namespace evpool::bench {

struct KneeSearch {
  double first_rate = 1'000;  // where it begins
  double precision = 0.05;    // it ends when what holds and what does not are this close
  std::size_t repeats = 3;    // of the rate found, most of which must hold
  std::size_t most_trials = 60;
};

struct Knee {
  double rate = 0;  // the highest confirmed; 0: none
  std::size_t trials = 0;
  bool confirmed = false;  // false: most_trials came first, or it was given up
};

// `holds(rate)` makes one run; it may throw to give up the whole search. Doubles, or halves, the
// rate until it has one that holds and one that does not, then halves the distance between their
// logarithms. A rate that turns out not to hold when repeated is one that does not hold, and the
// search goes on below it: a single lucky run can't be the answer.
[[nodiscard]] Knee find_knee(const KneeSearch& search, const std::function<bool(double)>& holds);

}  // namespace evpool::bench
