// The search for the highest rate that a server holds. Pure: what a rate does is asked of the
// caller. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace evpool::bench {

struct KneeSearch {
  double first_rate = 1'000;  // where it begins
  double precision = 0.05;    // it ends when what holds and what does not are this close
  std::size_t repeats = 3;    // of the rate found, most of which must hold
  std::size_t most_trials = 60;
  std::size_t most_tries = 3;  // of a rate that cannot be measured
};

// What a run at some rate said of the server.
enum class Trial : std::uint8_t {
  holds,
  fails,
  unmeasured,  // nothing: whoever makes the load could not
  given_up,    // no run: the search is to end
};

struct Knee {
  double rate = 0;         // confirmed, or the highest that held once; 0: none
  double rate_beyond = 0;  // the lowest that did not hold; 0: none
  std::size_t trials = 0;
  bool confirmed = false;  // false: most_trials came first, or it was given up
  bool given_up = false;
  // At rate_beyond nothing could be measured: the server may hold more.
  bool beyond_is_unmeasured = false;
};

// `run(rate)` makes one run. Doubles, or halves, the rate until it has one that holds and one that
// does not, then halves the distance between their logarithms. A rate that turns out not to hold
// when repeated is one that does not hold, and the search goes on below it: a single lucky run
// can't be the answer. A rate that cannot be measured is tried again, and bounds the search only
// when it never can be.
[[nodiscard]] Knee find_knee(const KneeSearch& search, const std::function<Trial(double)>& run);

}  // namespace evpool::bench
