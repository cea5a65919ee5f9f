#include "bench/load/machine_probe.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <limits>

namespace evpool::bench {
namespace {

std::chrono::nanoseconds now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Each round needs the one before, so that only the CPU's frequency counts, and no memory.
std::chrono::nanoseconds time_of(std::uint64_t rounds) {
  const auto begin = now();
  std::uint64_t state = 1;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    state = state * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // Used, so that the compiler cannot leave the work out.
  volatile std::uint64_t result = state;
  static_cast<void>(result);
  return now() - begin;
}

}  // namespace

ClockCost measure_clock_cost() {
  constexpr int kCalls = 20'000;
  auto least_step = std::chrono::nanoseconds::max();
  const auto begin = now();
  auto before = begin;
  for (int i = 0; i < kCalls; ++i) {
    const auto time = now();
    if (time > before) least_step = std::min(least_step, time - before);
    before = time;
  }
  // A clock that has not moved in all the calls is coarser than they took: wait for its next step.
  while (least_step == std::chrono::nanoseconds::max()) {
    const auto time = now();
    if (time > before) least_step = time - before;
  }
  return {.call_ns = static_cast<double>((before - begin).count()) / kCalls,
          .step_ns = static_cast<double>(least_step.count())};
}

Jitter measure_jitter(std::chrono::nanoseconds duration) {
  Jitter jitter;
  const auto begin = now();
  auto before = begin;
  while (before - begin < duration) {
    const auto time = now();
    const auto gap = time - before;
    jitter.longest = std::max(jitter.longest, gap);
    if (gap > Jitter::kGap) jitter.lost += gap;
    before = time;
  }
  jitter.watched = before - begin;
  return jitter;
}

std::vector<std::chrono::nanoseconds> measure_speed(std::size_t runs,
                                                    std::chrono::nanoseconds length) {
  // The fastest of three, so that a pause does not make the work too small.
  constexpr std::uint64_t kTrial = 200'000;
  auto trial = std::chrono::nanoseconds::max();
  for (int i = 0; i < 3; ++i) trial = std::min(trial, time_of(kTrial));
  const auto rounds = static_cast<std::uint64_t>(
      static_cast<double>(kTrial) * static_cast<double>(length.count()) /
      static_cast<double>(std::max<std::chrono::nanoseconds::rep>(trial.count(), 1)));
  std::vector<std::chrono::nanoseconds> times;
  times.reserve(runs);
  for (std::size_t i = 0; i < runs; ++i) times.push_back(time_of(rounds));
  return times;
}

}  // namespace evpool::bench
