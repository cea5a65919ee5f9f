// Measures how still the machine holds. Each function keeps its thread busy for as long as it says;
// nothing else should be running that the caller controls.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include "bench/load/doctor_checks.h"

namespace evpool::bench {

// Of CLOCK_MONOTONIC; a few milliseconds.
[[nodiscard]] ClockCost measure_clock_cost();

// Reads the clock for `duration` and looks for the gaps.
[[nodiscard]] Jitter measure_jitter(std::chrono::nanoseconds duration);

// The same work, of about `length` each, `runs` times.
[[nodiscard]] std::vector<std::chrono::nanoseconds> measure_speed(std::size_t runs,
                                                                  std::chrono::nanoseconds length);

}  // namespace evpool::bench
