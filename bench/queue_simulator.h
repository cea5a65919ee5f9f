// A queue with several workers on paper: first come, first served. With Poisson arrivals it is what
// queueing theory calls M/G/k, and what a pool that costs nothing would be. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace evpool::bench {

// Times in seconds.
struct SimulatedJob {
  double arrival_s = 0;
  double service_s = 0;
  std::size_t kind = 0;  // the caller's
};

// How long each job waited for a worker, in the order of `jobs`; what it took in all is that and
// its service. REQUIRES: arrivals do not fall; workers > 0.
[[nodiscard]] std::vector<double> simulate_waits(std::span<const SimulatedJob> jobs,
                                                 std::size_t workers);

// A kind of job: how often beside the others, and how long it keeps a worker.
struct ServiceKind {
  double weight = 1;
  double service_s = 0;
};

// `count` jobs of a Poisson process that keeps `workers` busy for the share `load` of their time;
// `kind` is an index into `kinds`. REQUIRES: there are kinds, their weights and services and `load`
// are above 0.
[[nodiscard]] std::vector<SimulatedJob> make_poisson_jobs(std::span<const ServiceKind> kinds,
                                                          std::size_t workers, double load,
                                                          std::size_t count, std::uint64_t seed);

// The mean of the services, by their weights.
[[nodiscard]] double mean_service_s(std::span<const ServiceKind> kinds);

// The waits and services of one kind's jobs together, of those that arrived at `since_s` or later,
// in rising order.
[[nodiscard]] std::vector<double> sorted_sojourns(std::span<const SimulatedJob> jobs,
                                                  std::span<const double> waits, std::size_t kind,
                                                  double since_s = 0);

// The least value that at least `percent` of all do not exceed. REQUIRES: `sorted` is, and not
// empty; 0 < percent <= 100.
[[nodiscard]] double percentile_of(std::span<const double> sorted, double percent);

}  // namespace evpool::bench
