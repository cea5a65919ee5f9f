// What a pool can be created with.
#pragma once

#include <sched.h>

#include <cstddef>
#include <stdexcept>
#include <string>

#include "threadpool/thread_pool.h"
#include "threadpool/usable_cpus.h"

namespace evpool {

[[noreturn]] inline void refuse_options(const std::string& what) {
  throw std::invalid_argument("cannot create a pool " + what);
}

// Throws std::invalid_argument.
inline void check_options(const ThreadPoolOptions& options) {
  if (options.workers > ThreadPoolOptions::kMaxWorkers) {
    refuse_options("of " + std::to_string(options.workers) +
                   " workers: it must have 0 (one for each usable CPU) to " +
                   std::to_string(ThreadPoolOptions::kMaxWorkers));
  }
  if (options.capacity_tasks < 1 || options.capacity_tasks > ThreadPoolOptions::kMaxCapacityTasks) {
    refuse_options("with a capacity of " + std::to_string(options.capacity_tasks) +
                   " tasks: it must be 1 to " +
                   std::to_string(ThreadPoolOptions::kMaxCapacityTasks));
  }
  for (const int cpu : options.cpus) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) {
      refuse_options("on CPU " + std::to_string(cpu) + ": it must be 0 to " +
                     std::to_string(CPU_SETSIZE - 1) + "; " + describe_cpus());
    }
  }
}

}  // namespace evpool
