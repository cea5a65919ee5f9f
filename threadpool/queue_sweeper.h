// Makes room in a full shared ring by taking its spent tasks out; one thread at a time does it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "threadpool/discarding_callers.h"
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

  // Whoever ends the pool waits for `callers`, and so for sweeps.
  QueueSweeper(TaskQueues& queues, DiscardingCallers& callers)
      : queues_(queues), callers_(callers) {}

  // For an adder that the shared ring has refused. True: there is room, by a sweep of this thread,
  // for up to kTasksAtOnce, or by what others have done; try again, once. Destroys tasks.
  [[gnu::noinline]] bool make_room(TaskPriority priority) {
    if (is_due(priority)) {
      const DiscardingCallers::Entry entry(callers_);
      std::array<Task, kTasksAtOnce> spent;
      const std::size_t tasks = sweep(priority, spent);
      for (Task& task : spent) task.reset();  // without the mutex: it may use the pool
      swept_.fetch_add(tasks, std::memory_order_relaxed);
    }
    return !queues_.shared(priority).full();
  }

  // How many tasks were swept, and have been destroyed.
  [[nodiscard]] std::uint64_t swept() const { return swept_.load(std::memory_order_relaxed); }

  // Where to count the tasks that become spent. May outlive this.
  [[nodiscard]] const std::shared_ptr<SpentTasks>& spent_tasks() const { return spent_tasks_; }

 private:
  // Whether that ring may hold spent tasks, and enough of them.
  [[nodiscard]] bool is_due(TaskPriority priority) const {
    const std::size_t capacity = queues_.shared(priority).capacity();
    const std::size_t enough = std::max<std::size_t>(1, capacity / kCellsForEachTask);
    return spent_tasks_->counted() - seen_[index(priority)].load() >= enough;
  }

  std::size_t sweep(TaskPriority priority, std::span<Task> room) {
    const MutexLock lock(sweeping_);
    if (!is_due(priority)) return 0;                        // another has just done it
    const std::uint64_t counted = spent_tasks_->counted();  // before the look at the tasks
    const SweptTasks swept = evpool::sweep(queues_.shared(priority), room);
    if (swept.saw_all) seen_[index(priority)].store(counted);
    return swept.tasks;
  }

  static std::size_t index(TaskPriority priority) { return static_cast<std::size_t>(priority); }

  TaskQueues& queues_;
  DiscardingCallers& callers_;
  const std::shared_ptr<SpentTasks> spent_tasks_ = std::make_shared<SpentTasks>();
  std::atomic<std::uint64_t> swept_{0};
  Mutex sweeping_;
  // What spent_tasks_ had counted at the last sweep that saw all; written with sweeping_ held.
  std::array<std::atomic<std::uint64_t>, kTaskPriorities> seen_{};
};

}  // namespace evpool
