// One measured run of a row: what the clients saw and what it cost the server. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/child_program.h"
#include "bench/load/dialect.h"
#include "bench/load/generator.h"
#include "bench/load/load_options.h"
#include "bench/row.h"

namespace evpool::bench {

struct RowFigures {
  double jobs_per_second = 0;
  double p50_us = 0;            // round trip
  double cpu_us_per_job = 0;    // the server's, as all below but the last
  double switches_per_job = 0;  // of context
  // Of the run that warms up; none: this machine does not count them.
  std::optional<double> system_calls_per_job;
  // At the peak, beyond what was resident before the first connection.
  double memory_bytes = 0;
  // The generator's. A round trip that is mostly this says nothing of its server.
  double client_cpu_us_per_job = 0;
};

struct RowRun {
  RowFigures figures;
  std::uint64_t wrong = 0;          // replies
  std::vector<std::string> faults;  // why the figures must not be believed
};

inline constexpr std::chrono::milliseconds kRowWarmUp{200};
inline constexpr std::uint64_t kRowSeed = 1;

// The load that a row is. REQUIRES: the server has said that it listens there.
[[nodiscard]] LoadOptions row_load(const Row& row, const ChildProgram& server);

// The warm-up is a run of its own, so that what the server spends can be divided by exactly the
// jobs that it was spent on. Throws std::runtime_error, which tells what the server said when it
// has ended. A stop request of `control` cuts it short. REQUIRES: the server is fresh, or its
// memory says nothing.
[[nodiscard]] RowRun run_row(const Row& row, ChildProgram& server, const Dialect& dialect,
                             std::chrono::milliseconds duration, RunControl& control);

}  // namespace evpool::bench
