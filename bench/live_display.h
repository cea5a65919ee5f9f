// One line on a terminal that says how a run stands, drawn anew at each interval.
#pragma once

#include <cstddef>
#include <cstdio>
#include <deque>
#include <string>

#include "bench/load/generator.h"

namespace evpool::bench {

// Intervals in the sparkline.
inline constexpr std::size_t kLiveRates = 20;

// Jobs answered ok a second; 0 for an interval without length.
[[nodiscard]] double rate_of(const IntervalRow& interval);

// "12.3k/s ▃▅▇█  p50 84us p99 1.2ms max 30ms  in flight 800  12s left", at most `columns` wide. The
// sparkline, of the last `rates`, drawn from 0 to the greatest, gets what room is left. What did
// not happen is not there: refused, lost, wrong, lag; and "-" is the latency of no replies.
[[nodiscard]] std::string live_line(const Progress& progress, const std::deque<double>& rates,
                                    std::size_t columns);

// For one thread. Writes nothing when `to` is no terminal; ignores what cannot be written.
class LiveDisplay {
 public:
  // `to` must outlive this.
  LiveDisplay(std::FILE* to, bool is_terminal) : to_(to), is_terminal_(is_terminal) {}
  // As clear().
  ~LiveDisplay() { clear(); }
  LiveDisplay(const LiveDisplay&) = delete;
  LiveDisplay& operator=(const LiveDisplay&) = delete;

  void show(const Progress& progress);
  // Takes the line away, for something else to be printed; the next show() draws it again.
  void clear();

 private:
  [[nodiscard]] std::size_t columns() const;

  std::FILE* const to_;
  const bool is_terminal_;
  bool shown_ = false;
  std::deque<double> rates_;
};

}  // namespace evpool::bench
