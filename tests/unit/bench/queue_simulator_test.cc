// The simulated queue agrees with what queueing theory knows in closed form.
#include "bench/queue_simulator.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <random>
#include <vector>

namespace evpool::bench {
namespace {

constexpr std::size_t kJobs = 2'000'000;

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Poisson arrivals at `rate`, exponential services with mean 1.
std::vector<SimulatedJob> markov_jobs(double rate) {
  std::mt19937_64 random(1);
  std::exponential_distribution<double> gap(rate);
  std::exponential_distribution<double> service(1);
  std::vector<SimulatedJob> jobs(kJobs);
  double now = 0;
  for (SimulatedJob& job : jobs) {
    now += gap(random);
    job = {.arrival_s = now, .service_s = service(random), .kind = 0};
  }
  return jobs;
}

TEST(QueueSimulator, makes_jobs_wait_for_the_first_worker_that_is_free) {
  const std::vector<SimulatedJob> jobs = {{.arrival_s = 0, .service_s = 10},
                                          {.arrival_s = 1, .service_s = 2},
                                          {.arrival_s = 2, .service_s = 1},
                                          {.arrival_s = 3, .service_s = 1},
                                          {.arrival_s = 20, .service_s = 1}};
  EXPECT_EQ(simulate_waits(jobs, 2), (std::vector<double>{0, 0, 1, 1, 0}));
  EXPECT_EQ(simulate_waits(jobs, 1), (std::vector<double>{0, 9, 10, 10, 0}));
}

// M/M/1: the mean sojourn is 1 / (mu - lambda), and sojourns are exponential.
TEST(QueueSimulator, agrees_with_a_single_worker_and_random_services) {
  const std::vector<SimulatedJob> jobs = markov_jobs(0.7);
  const std::vector<double> sojourns = sorted_sojourns(jobs, simulate_waits(jobs, 1), 0);
  const double expected = 1 / (1 - 0.7);
  EXPECT_NEAR(mean(sojourns), expected, 0.03 * expected);
  EXPECT_NEAR(percentile_of(sojourns, 50), expected * std::log(2), 0.03 * expected);
  EXPECT_NEAR(percentile_of(sojourns, 99), expected * std::log(100),
              0.05 * expected * std::log(100));
}

// M/M/k: Erlang's C formula gives the share of jobs that wait.
TEST(QueueSimulator, agrees_with_erlang_about_how_many_wait) {
  for (const std::size_t workers : {2U, 4U, 16U}) {
    const double offered = 0.8 * static_cast<double>(workers);
    double term = 1;  // offered^n / n!
    double sum = 0;
    for (std::size_t n = 0; n < workers; ++n) {
      sum += term;
      term *= offered / static_cast<double>(n + 1);
    }
    const double busy = term / (1 - 0.8);
    const double expected = busy / (sum + busy);

    const std::vector<SimulatedJob> jobs = markov_jobs(offered);
    const std::vector<double> waits = simulate_waits(jobs, workers);
    std::size_t waiting = 0;
    for (const double wait : waits) waiting += wait > 0 ? 1 : 0;
    const double measured = static_cast<double>(waiting) / static_cast<double>(kJobs);
    EXPECT_NEAR(measured, expected, 0.03 * expected) << workers << " workers";
    // And those who wait do so for 1 / (k mu - lambda) on average.
    const double spare = static_cast<double>(workers) - offered;
    EXPECT_NEAR(mean(waits), expected / spare, 0.05 * expected / spare) << workers << " workers";
  }
}

// M/D/1: rho / (2 mu (1 - rho)).
TEST(QueueSimulator, agrees_with_a_single_worker_and_equal_services) {
  const std::array<ServiceKind, 1> kinds = {{{.weight = 1, .service_s = 0.5}}};
  const std::vector<SimulatedJob> jobs = make_poisson_jobs(kinds, 1, 0.8, kJobs, 1);
  const double expected = 0.8 / (2 * 2 * (1 - 0.8));
  EXPECT_NEAR(mean(simulate_waits(jobs, 1)), expected, 0.03 * expected);
}

// M/G/1: Pollaczek and Khinchine, lambda E[S^2] / (2 (1 - rho)).
TEST(QueueSimulator, agrees_with_a_single_worker_and_two_kinds_of_jobs) {
  const std::array<ServiceKind, 2> kinds = {
      {{.weight = 99, .service_s = 10e-6}, {.weight = 1, .service_s = 5e-3}}};
  const double mean_s = mean_service_s(kinds);
  EXPECT_NEAR(mean_s, 59.9e-6, 1e-9);
  const std::vector<SimulatedJob> jobs = make_poisson_jobs(kinds, 1, 0.7, 4 * kJobs, 1);
  const double squares = 0.99 * 10e-6 * 10e-6 + 0.01 * 5e-3 * 5e-3;
  const double expected = 0.7 / mean_s * squares / (2 * 0.3);
  EXPECT_NEAR(mean(simulate_waits(jobs, 1)), expected, 0.08 * expected);
}

TEST(QueueSimulator, makes_jobs_of_each_kind_as_often_as_their_weights_say) {
  const std::array<ServiceKind, 2> kinds = {
      {{.weight = 3, .service_s = 1}, {.weight = 1, .service_s = 2}}};
  const std::vector<SimulatedJob> jobs = make_poisson_jobs(kinds, 2, 0.5, 100'000, 1);
  std::size_t second = 0;
  for (const SimulatedJob& job : jobs) second += job.kind;
  EXPECT_NEAR(static_cast<double>(second), 25'000, 1'000);
  // 0.5 of two workers' time at 1.25 s a job.
  EXPECT_NEAR(jobs.back().arrival_s, 125'000, 2'000);
}

TEST(QueueSimulator, sorts_out_a_kind_and_what_came_early) {
  const std::vector<SimulatedJob> jobs = {{.arrival_s = 0, .service_s = 5, .kind = 0},
                                          {.arrival_s = 1, .service_s = 1, .kind = 1},
                                          {.arrival_s = 2, .service_s = 1, .kind = 0},
                                          {.arrival_s = 3, .service_s = 0.5, .kind = 0}};
  const std::vector<double> waits = {0, 4, 4, 0};
  EXPECT_EQ(sorted_sojourns(jobs, waits, 0, 2), (std::vector<double>{0.5, 5}));
}

TEST(QueueSimulator, takes_percentiles_that_enough_do_not_exceed) {
  const std::vector<double> sorted = {1, 2, 3, 4};
  EXPECT_EQ(percentile_of(sorted, 50), 2);
  EXPECT_EQ(percentile_of(sorted, 51), 3);
  EXPECT_EQ(percentile_of(sorted, 100), 4);
  EXPECT_EQ(percentile_of(sorted, 0.1), 1);
}

}  // namespace
}  // namespace evpool::bench
