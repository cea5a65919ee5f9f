// Decides when a full shared ring is swept of its spent tasks, and lets one thread at a time do it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "threadpool/mutex.h"
#include "threadpool/spent_tasks.h"
#include "threadpool/task_priority.h"
#include "threadpool/task_queues.h"
#include "threadpool/task_ring_sweep.h"

namespace evpool {

class QueueSweeper {
 public:
  // A sweep ends when it has found this many.
  static constexpr std::size_t kTasksAtOnce = 64;
  // A sweep may look at every cell while no worker can take, a few ns for each. So in a very large
  // ring it waits until one task in this many is spent: then a place costs microseconds at most.
  static constexpr std::size_t kCellsForEachTask = 4096;

  QueueSweeper(TaskQueues& queues, const SpentTasks& spent) : queues_(queues), spent_(spent) {}

  // Whether that ring may hold spent tasks, and enough of them.
  [[nodiscard]] bool is_due(TaskPriority priority) const {
    const std::size_t capacity = queues_.shared(priority).capacity();
    const std::size_t enough = std::max<std::size_t>(1, capacity / kCellsForEachTask);
    return spent_.counted() - seen(priority).load() >= enough;
  }

  // Moves spent tasks into `room`, empty tasks; the caller destroys them. How many. Waits while
  // another thread sweeps, and then perhaps finds none.
  std::size_t sweep(TaskPriority priority, std::span<Task, kTasksAtOnce> room) {
    const MutexLock lock(sweeping_);
    if (!is_due(priority)) return 0;
    const std::uint64_t counted = spent_.counted();  // before the look at the tasks
    const SweptTasks swept = evpool::sweep(queues_.shared(priority), room);
    if (swept.saw_all) seen(priority).store(counted);
    return swept.tasks;
  }

 private:
  [[nodiscard]] const std::atomic<std::uint64_t>& seen(TaskPriority priority) const {
    return seen_[static_cast<std::size_t>(priority)];
  }
  [[nodiscard]] std::atomic<std::uint64_t>& seen(TaskPriority priority) {
    return seen_[static_cast<std::size_t>(priority)];
  }

  TaskQueues& queues_;
  const SpentTasks& spent_;
  Mutex sweeping_;
  // What spent_ had counted at the last sweep that saw all; written with sweeping_ held.
  std::array<std::atomic<std::uint64_t>, kTaskPriorities> seen_{};
};

}  // namespace evpool
