#include "bench/queue_simulator.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <random>

namespace evpool::bench {

std::vector<double> simulate_waits(std::span<const SimulatedJob> jobs, std::size_t workers) {
  // When each worker is free; the first of them takes the next job.
  std::priority_queue<double, std::vector<double>, std::greater<>> free_s(
      std::greater<>{}, std::vector<double>(workers, 0.0));
  std::vector<double> waits;
  waits.reserve(jobs.size());
  for (const SimulatedJob& job : jobs) {
    const double begin_s = std::max(job.arrival_s, free_s.top());
    free_s.pop();
    free_s.push(begin_s + job.service_s);
    waits.push_back(begin_s - job.arrival_s);
  }
  return waits;
}

double mean_service_s(std::span<const ServiceKind> kinds) {
  double weights = 0;
  double services = 0;
  for (const ServiceKind& kind : kinds) {
    weights += kind.weight;
    services += kind.weight * kind.service_s;
  }
  return services / weights;
}

std::vector<SimulatedJob> make_poisson_jobs(std::span<const ServiceKind> kinds, std::size_t workers,
                                            double load, std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> gap_s(load * static_cast<double>(workers) /
                                              mean_service_s(kinds));
  std::vector<double> weights;
  for (const ServiceKind& kind : kinds) weights.push_back(kind.weight);
  std::discrete_distribution<std::size_t> pick(weights.begin(), weights.end());
  std::vector<SimulatedJob> jobs;
  jobs.reserve(count);
  double now_s = 0;
  for (std::size_t i = 0; i < count; ++i) {
    now_s += gap_s(random);
    const std::size_t kind = pick(random);
    jobs.push_back({.arrival_s = now_s, .service_s = kinds[kind].service_s, .kind = kind});
  }
  return jobs;
}

std::vector<double> sorted_sojourns(std::span<const SimulatedJob> jobs,
                                    std::span<const double> waits, std::size_t kind,
                                    double since_s) {
  std::vector<double> sojourns;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].kind != kind || jobs[i].arrival_s < since_s) continue;
    sojourns.push_back(waits[i] + jobs[i].service_s);
  }
  std::sort(sojourns.begin(), sojourns.end());
  return sojourns;
}

double percentile_of(std::span<const double> sorted, double percent) {
  const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

}  // namespace evpool::bench
