// When the requests of an open loop are due: a schedule fixed by its seed, whatever the server
// does. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>

#include "bench/load/load_options.h"

namespace evpool::bench {

class ArrivalSchedule {
 public:
  // For thread `thread` of options.threads: its share of the rate. Together the shares are again a
  // Poisson process, or evenly spaced. REQUIRES: options.rate.
  ArrivalSchedule(const LoadOptions& options, std::size_t thread);

  // The next one's time since the beginning of the ramp. Never less than the one before. The first
  // of constant arrivals and of bursts is due at 0.
  [[nodiscard]] std::chrono::nanoseconds next();
  // Passes over all that are due before `until`, and returns how many they are, in a time that does
  // not depend on their number. Of a Poisson process the number is drawn, as what is left of one
  // always can be; so it depends on the seed, and on where the schedule had come to.
  [[nodiscard]] std::uint64_t pass(std::chrono::nanoseconds until);

 private:
  [[nodiscard]] double next_expected();
  [[nodiscard]] double expected_until(double at_ns) const;

  const Arrivals arrivals_;
  const double rate_per_ns_;  // of this thread, after the ramp
  const double ramp_ns_;
  const std::uint32_t burst_requests_;
  std::mt19937_64 random_;
  std::exponential_distribution<double> exponential_{1.0};
  // How many requests were to be expected until the last one's time. Arrivals are drawn in this
  // measure, in which the ramp is as even as the rest, and then brought to the clock's.
  double expected_;
  std::uint32_t left_in_burst_ = 0;
};

}  // namespace evpool::bench
