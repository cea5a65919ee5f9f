#include "bench/pool/pool_measure.h"

#include <time.h>

#include <bitset>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "bench/pool/comparison_table.h"

namespace evpool::bench {

void report_ns(benchmark::State& state, double tasks) {
  state.counters[kNs] =
      benchmark::Counter(tasks / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

double process_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

Costs::Costs() : cpu_ns_(process_cpu_ns()) { getrusage(RUSAGE_SELF, &usage_); }

void Costs::report(benchmark::State& state, double tasks) const {
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  const auto switches =
      static_cast<double>(after.ru_nvcsw + after.ru_nivcsw - usage_.ru_nvcsw - usage_.ru_nivcsw);
  state.counters[kCpuNs] = (process_cpu_ns() - cpu_ns_) / tasks;
  state.counters[kSwitches] = switches / tasks;
}

void RunCounter::wait_for(std::uint64_t total_expected) const {
  for (;;) {
    std::uint64_t total = 0;
    for (const Line& line : counts_) total += line.count.load(std::memory_order_acquire);
    if (total >= total_expected) return;
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

std::size_t RunCounter::slot() {
  static std::mutex mutex;
  static std::bitset<kSlots> taken;
  class Slot {
   public:
    Slot() {
      const std::lock_guard lock(mutex);
      while (number_ < kSlots && taken[number_]) ++number_;
      if (number_ == kSlots) {
        std::fputs("RunCounter: more threads than slots\n", stderr);
        std::abort();
      }
      taken[number_] = true;
    }
    ~Slot() {
      const std::lock_guard lock(mutex);
      taken[number_] = false;
    }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    [[nodiscard]] std::size_t number() const { return number_; }

   private:
    std::size_t number_ = 0;
  };
  thread_local const Slot own;
  return own.number();
}

}  // namespace evpool::bench
