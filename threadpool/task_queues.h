// A pool's queues: one shared ring for each priority, and for each worker of several a lane of its
// own. A lane holds the tasks that its worker's tasks added, and the rest of a batch that the worker
// took from a deep shared ring; so workers meet at the shared rings once in a batch. What waits in a
// lane is anybody's: a worker that finds nothing else takes half of another's lane, and nothing is
// stuck behind a long task.
#pragma once

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "threadpool/process_memory.h"
#include "threadpool/task_priority.h"
#include "threadpool/task_ring.h"

namespace evpool {

class TaskQueues {
 public:
  static constexpr std::size_t kLaneTasks = 64;
  // Enough to spread what a meeting costs; more gains nothing measurable (docs/threadpool.md).
  static constexpr std::size_t kBatchTasks = 16;

  // Throws std::system_error or std::bad_alloc.
  TaskQueues(std::size_t workers, std::size_t capacity_tasks)
      : lanes_(workers > 1 ? workers : 0),
        memory_(shared_.size() * bytes_of(capacity_tasks) + lanes_.size() * bytes_of(kLaneTasks)) {
    std::byte* free = memory_.data();
    const auto place = [&free](TaskRing& ring, std::size_t tasks) {
      ring.use({reinterpret_cast<TaskCell*>(free), tasks},
               reinterpret_cast<std::uint64_t*>(free + tasks * sizeof(TaskCell)));
      free += bytes_of(tasks);
    };
    for (TaskRing& ring : shared_) place(ring, capacity_tasks);
    for (TaskRing& ring : lanes_) place(ring, kLaneTasks);
  }

  [[nodiscard]] bool is_mine() const { return memory_.is_mine(); }
  [[nodiscard]] TaskRing& shared(TaskPriority priority) {
    return shared_[static_cast<std::size_t>(priority)];
  }
  [[nodiscard]] bool has_lanes() const { return !lanes_.empty(); }
  [[nodiscard]] TaskRing& lane(std::size_t worker) { return lanes_[worker]; }

  // No task is added to the shared rings any more. Lanes stay open: what a worker adds to its own,
  // it will find there.
  void close() {
    for (TaskRing& ring : shared_) ring.close();
  }

  struct Taken {
    bool task = false;
    bool left_more = false;  // some went into the lane, for others to take
    std::uint64_t added_at_ns = 0;
  };

  // For worker `worker`, whose `turn`-th call this is: high before the lane before normal before
  // low, but with every 16th call another of the later ones comes first. So each ring that has
  // tasks gets at least every 16th that this worker takes: late, but never starved.
  Taken take(std::size_t worker, std::uint32_t turn, Task& task) {
    switch (turn % 16) {
      case 4:
        if (has_lanes() && take_one(lane(worker), task)) return {.task = true};
        break;
      case 8:
        if (const auto taken = take_one_timed(TaskPriority::normal, task); taken.task) return taken;
        break;
      case 12:
        if (const auto taken = take_one_timed(TaskPriority::low, task); taken.task) return taken;
        break;
      default: break;
    }
    if (const auto taken = take_one_timed(TaskPriority::high, task); taken.task) return taken;
    if (has_lanes() && take_one(lane(worker), task)) return {.task = true};
    if (const auto taken = take_batch(worker, task); taken.task) return taken;
    return take_one_timed(TaskPriority::low, task);
  }

  // From the others' lanes.
  Taken steal(std::size_t worker, Task& task) {
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      TaskRing& victim = lanes_[(worker + i) % lanes_.size()];
      const std::size_t waiting = victim.size();
      if (waiting == 0) continue;
      if (const auto taken = take_several(victim, (waiting + 1) / 2, worker, task); taken.task) {
        return taken;
      }
    }
    return {};
  }

  // Any task, for whoever empties the pool.
  bool take_any(Task& task) {
    const auto take_from = [&task](TaskRing& ring) { return take_one(ring, task); };
    return std::any_of(shared_.begin(), shared_.end(), take_from) ||
           std::any_of(lanes_.begin(), lanes_.end(), take_from);
  }

  // Exact when nobody adds or takes; never misses a task whose adder has returned.
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] bool closed() const {
    return std::all_of(shared_.begin(), shared_.end(),
                       [](const TaskRing& ring) { return ring.closed(); });
  }
  // No task is left, and none will come.
  [[nodiscard]] bool finished() const {
    return std::all_of(shared_.begin(), shared_.end(),
                       [](const TaskRing& ring) { return ring.closed() && ring.empty(); }) &&
           std::all_of(lanes_.begin(), lanes_.end(),
                       [](const TaskRing& ring) { return ring.empty(); });
  }
  [[nodiscard]] std::size_t high_water() const {
    std::size_t highest = 0;
    for (const TaskRing& ring : shared_) highest = std::max(highest, ring.high_water());
    return highest;
  }
  [[nodiscard]] std::size_t size() const {
    std::size_t size = 0;
    for (const TaskRing& ring : shared_) size += ring.size();
    for (const TaskRing& ring : lanes_) size += ring.size();
    return size;
  }

 private:
  static std::size_t bytes_of(std::size_t tasks) {
    const std::size_t stamps = tasks / TaskRing::kSampledCells + 1;
    const std::size_t bytes = tasks * sizeof(TaskCell) + stamps * sizeof(std::uint64_t);
    return (bytes + alignof(TaskCell) - 1) / alignof(TaskCell) * alignof(TaskCell);
  }

  static bool take_one(TaskRing& ring, Task& task) {
    return ring.take(std::span(&task, 1)).tasks == 1;
  }
  Taken take_one_timed(TaskPriority priority, Task& task) {
    const auto taken = shared(priority).take(std::span(&task, 1));
    return {.task = taken.tasks == 1, .added_at_ns = taken.added_at_ns};
  }
  // One while the queue is short, so that no batch hides work from an idle worker.
  Taken take_batch(std::size_t worker, Task& task) {
    TaskRing& ring = shared(TaskPriority::normal);
    if (!has_lanes()) return take_one_timed(TaskPriority::normal, task);
    const std::size_t share = ring.size_at_least(2 * lanes_.size()) / lanes_.size();
    return take_several(ring, std::max<std::size_t>(share, 1), worker, task);
  }
  Taken take_several(TaskRing& ring, std::size_t most, std::size_t worker, Task& task) {
    if (most == 1) {
      const auto taken = ring.take(std::span(&task, 1));
      return {.task = taken.tasks == 1, .added_at_ns = taken.added_at_ns};
    }
    std::array<Task, kBatchTasks> batch;
    const auto taken = ring.take(std::span(batch).first(std::min(most, kBatchTasks)));
    if (taken.tasks == 0) return {};
    task = std::move(batch[0]);
    // The lane is empty, but a thief may be between its claim and giving the cells back.
    auto rest = std::span(batch).subspan(1, taken.tasks - 1);
    while (rest = rest.subspan(lane(worker).add(rest).tasks), !rest.empty()) sched_yield();
    return {
        .task = true, .left_more = taken.tasks > 1, .added_at_ns = taken.added_at_ns};
  }

  std::array<TaskRing, kTaskPriorities> shared_;
  std::vector<TaskRing> lanes_;  // one for each worker, or none for a single worker
  ProcessMemory memory_;
};

}  // namespace evpool
