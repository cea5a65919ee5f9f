// Gathers what the threads of a run have counted, interval by interval, into one result and one
// time series. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "bench/load/account.h"
#include "bench/load/latency_histogram.h"
#include "bench/load/load_result.h"

namespace evpool::bench {

// What one thread counted in one interval, of measured requests.
struct IntervalPart {
  std::uint64_t sent = 0;
  std::uint64_t ok = 0;
  std::uint64_t refused = 0;
  std::uint64_t wrong = 0;
  std::uint64_t lost = 0;
  std::uint64_t in_flight = 0;
  bool cut_short = false;  // the run ended before the interval did
  LatencyHistogram latency;
  LatencyHistogram lag;
};

class Collector {
 public:
  Collector(std::size_t threads, double interval_s)
      : threads_(threads), running_(threads), interval_s_(interval_s) {}

  // A thread's part of interval `index`; it delivers them in order, and none is left out.
  void deliver(std::size_t index, const IntervalPart& part);
  // A thread's last word, after that many intervals. Unknown: its failure, which ends all others.
  static constexpr std::size_t kUnknown = SIZE_MAX;
  void finish(std::size_t intervals);

  // Returns when every thread has finished; calls `on_row` for each interval that all have ended,
  // but not for one that the run's end cut short: nobody knows its length yet.
  // Then latency(), lag() and series() are there.
  void wait(const std::function<void(const IntervalRow&)>& on_row);
  // Says when the run ended. The last row of the series ends then, too. If that leaves it less than
  // half an interval, it becomes a part of the row before: replies to what was sent before it would
  // look like a rate that nobody asked for. REQUIRES: wait() has returned; once.
  void end_series(double ended_s);

  [[nodiscard]] const LatencyHistogram& latency() const { return latency_; }
  [[nodiscard]] const LatencyHistogram& lag() const { return lag_; }
  [[nodiscard]] const std::vector<IntervalRow>& series() const { return series_; }

 private:
  struct Gathering {
    IntervalPart sum;
    std::size_t parts = 0;
  };
  [[nodiscard]] bool is_complete(std::size_t index, const Gathering& gathering) const;
  static void add(const IntervalPart& part, IntervalPart& sum);
  void make_row(std::size_t index, IntervalPart sum);

  const std::size_t threads_;

  std::mutex mutex_;  // guards the four below
  std::condition_variable changed_;
  std::map<std::size_t, Gathering> gathering_;
  std::size_t running_;
  std::vector<std::size_t> finished_after_;  // intervals

  const double interval_s_;
  LatencyHistogram latency_;
  LatencyHistogram lag_;
  std::vector<IntervalRow> series_;
  // The parts of the last row, and of the one before.
  IntervalPart last_;
  IntervalPart before_last_;
};

}  // namespace evpool::bench
