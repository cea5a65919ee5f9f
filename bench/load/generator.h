// The load generator: sends requests to a server by a schedule or as fast as replies come, and
// accounts for every one of them. docs/benchmarks.md explains what it measures.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "bench/load/dialect.h"
#include "bench/load/load_options.h"
#include "bench/load/load_result.h"

namespace evpool::bench {

// How a run stands, for whoever watches.
struct Progress {
  IntervalRow interval;  // the one just ended
  double left_s = 0;
};

struct RunControl {
  // 1: stop sending, wait for what is in flight, report. 2: report at once. A signal handler's.
  std::atomic<int> stop_requests{0};
  // Called in the caller's thread at the end of each interval; may be empty.
  std::function<void(const Progress&)> on_interval = {};
};

// Starts asked.threads threads and returns when they have ended. Throws std::invalid_argument for
// options that contradict each other, ConnectError when the first connections cannot be made, or
// std::runtime_error when the run breaks off before anything was answered: the server speaks
// nonsense, say. After that, what fails ends the run and is in its result.
[[nodiscard]] LoadResult run_load(const LoadOptions& asked, const Dialect& dialect,
                                  RunControl& control);

}  // namespace evpool::bench
