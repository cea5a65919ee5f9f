// What one worker counts. Written by that worker alone, so that counting is a load and a store and
// no locked instruction; read by anyone at any time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "threadpool/thread_pool.h"

namespace evpool {

class OwnCount {
 public:
  void add(std::uint64_t more = 1) { set(get() + more); }
  void raise_to(std::uint64_t least) { set(std::max(get(), least)); }
  [[nodiscard]] std::uint64_t get() const { return count_.load(std::memory_order_relaxed); }

 private:
  void set(std::uint64_t count) { count_.store(count, std::memory_order_relaxed); }
  std::atomic<std::uint64_t> count_{0};
};

struct OwnTimes {
  OwnCount samples;
  OwnCount total_ns;
  OwnCount max_ns;

  void add(std::uint64_t time_ns) {
    samples.add();
    total_ns.add(time_ns);
    max_ns.raise_to(time_ns);
  }
  void add_to(SampledTime& sum) const {
    sum.samples += samples.get();
    sum.total_ns += total_ns.get();
    sum.max_ns = std::max(sum.max_ns, max_ns.get());
  }
};

struct WorkerCounts {
  OwnCount executed;
  OwnCount cancelled;
  OwnCount discarded;
  OwnCount parks;
  OwnCount spurious_wakes;
  OwnTimes queue_time;
  OwnTimes run_time;

  void add_to(ThreadPoolStatistics& sum) const {
    sum.executed += executed.get();
    sum.cancelled += cancelled.get();
    sum.discarded += discarded.get();
    sum.parks += parks.get();
    sum.spurious_wakes += spurious_wakes.get();
    queue_time.add_to(sum.queue_time);
    run_time.add_to(sum.run_time);
  }
};

}  // namespace evpool
