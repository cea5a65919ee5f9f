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
  QueueSweeper(TaskQueues& queues, std::size_t capacity_tasks, DiscardingCallers& callers)
      : queues_(queues),
        callers_(callers),
        enough_(std::max<std::size_t>(1, capacity_tasks / kCellsForEachTask)) {
    for (auto& due_at : due_at_) due_at.store(enough_);
  }

  // For an adder that the shared ring has refused. True: there is room, by a sweep of this thread,
  // for up to kTasksAtOnce, or by what others have done; try again, once. Destroys tasks.
  bool make_room(TaskPriority priority) {
    if (is_due(priority)) sweep(priority);
    return !queues_.shared(priority).full();
  }

  // How many tasks were swept, and have been destroyed.
  [[nodiscard]] std::uint64_t swept() const { return swept_.load(std::memory_order_relaxed); }

  // Where to count the tasks that become spent. May outlive this.
  [[nodiscard]] const std::shared_ptr<SpentTasks>& spent_tasks() const { return spent_tasks_; }

 private:
  // Whether that ring may hold spent tasks, and enough of them.
  [[nodiscard]] bool is_due(TaskPriority priority) const {
    return spent_tasks_->counted() >= due_at_[static_cast<std::size_t>(priority)].load();
  }

  // Not inlined: a pool that refuses real work all the time has no use for so large a frame.
  [[gnu::noinline]] void sweep(TaskPriority priority) {
    const DiscardingCallers::Entry entry(callers_);
    std::array<Task, kTasksAtOnce> spent;
    const std::size_t tasks = sweep_into(spent, priority);
    for (Task& task : spent) task.reset();  // without the mutex: it may use the pool
    swept_.fetch_add(tasks, std::memory_order_relaxed);
  }
  std::size_t sweep_into(std::span<Task> room, TaskPriority priority) {
    const MutexLock lock(sweeping_);
    if (!is_due(priority)) return 0;                        // another has just done it
    const std::uint64_t counted = spent_tasks_->counted();  // before the look at the tasks
    const SweptTasks swept = evpool::sweep(queues_.shared(priority), room);
    if (swept.saw_all) due_at_[static_cast<std::size_t>(priority)].store(counted + enough_);
    return swept.tasks;
  }

  TaskQueues& queues_;
  DiscardingCallers& callers_;
  const std::size_t enough_;  // spent tasks, for a sweep
  const std::shared_ptr<SpentTasks> spent_tasks_ = std::make_shared<SpentTasks>();
  std::atomic<std::uint64_t> swept_{0};
  Mutex sweeping_;
  // By priority, at which count of spent_tasks_ a sweep is due; changed with sweeping_ held.
  std::array<std::atomic<std::uint64_t>, kTaskPriorities> due_at_{};
};

}  // namespace evpool
