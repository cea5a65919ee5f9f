// A pool's queues: one shared ring for each priority, and for each worker a lane: a batch of what
// it took from a deep shared ring, and, among several workers, a ring for what its own tasks add.
// So workers meet at the shared rings once in a batch. What waits in a lane is anybody's: a worker
// that finds nothing else takes from another's, and one that always finds something looks into
// another's now and then, so that nothing is stuck behind a long task.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "threadpool/process_memory.h"
#include "threadpool/task_batch.h"
#include "threadpool/task_priority.h"
#include "threadpool/task_ring.h"

namespace evpool {

class TaskQueues {
 public:
  // For what its own tasks add, each worker of several.
  static constexpr std::size_t kLaneTasks = 64;
  static constexpr std::size_t kSmallestBatch = 8;
  // So often a worker looks into another's lane although there is work elsewhere. What a look
  // costs, at most a cache line from another core, vanishes beside so many tasks.
  static constexpr std::uint32_t kTurnsBetweenVisits = 64;

  // Throws std::system_error or std::bad_alloc.
  TaskQueues(std::size_t workers, std::size_t capacity_tasks)
      : workers_(workers),
        lanes_(std::make_unique<Lane[]>(workers)),
        memory_(shared_.size() * bytes_of(capacity_tasks) + workers_ * bytes_of(kLaneTasks)),
        batches_(TaskBatch::enable()) {
    std::byte* free = memory_.data();
    const auto place = [&free](TaskRing& ring, std::size_t tasks) {
      auto* const cells = reinterpret_cast<TaskCell*>(free);
      ring.use(tasks, cells, reinterpret_cast<std::uint64_t*>(cells + TaskRing::cells_for(tasks)));
      free += bytes_of(tasks);
    };
    for (TaskRing& ring : shared_) place(ring, capacity_tasks);
    for (Lane& lane : lanes()) place(lane.added, kLaneTasks);
  }

  // False in a child of fork().
  [[nodiscard]] bool is_mine() const { return memory_.is_mine(); }

  [[nodiscard]] TaskRing& shared(TaskPriority priority) {
    return shared_[static_cast<std::size_t>(priority)];
  }
  // A worker's own tasks add here first; a single worker's do not, so that its order is that of the
  // adding.
  [[nodiscard]] TaskRing* lane(std::size_t worker) {
    return workers_ > 1 ? &lanes_[worker].added : nullptr;
  }

  // No task is added to the shared rings any more. Lanes stay open: what a worker adds to its own,
  // it will find there.
  void close() {
    for (TaskRing& ring : shared_) ring.close();
  }

  struct Taken {
    Task* task = nullptr;           // `room`, or one of the worker's batch
    bool left_more = false;         // in the batch, for others to take
    std::uint64_t added_at_ns = 0;  // not 0: its time is to be measured
  };

  // For worker `worker`; `room` is empty. High before the lane before normal before low, but with
  // every 16th call another of the later ones comes first, and with every 64th the lane of a worker
  // that is busy. So each queue that has tasks gets at least every 16th that this worker takes:
  // late, but never starved.
  Taken take(std::size_t worker, Task& room) {
    Lane& lane = lanes_[worker];
    // Relaxed: others only compare it with what it was.
    const std::uint32_t turn = lane.turn.load(std::memory_order_relaxed) + 1;
    lane.turn.store(turn, std::memory_order_relaxed);
    // In a flood it is mostly the next of the batch, so this much is to be short.
    if (turn % 4 != 0 && shared(TaskPriority::high).seems_empty() && lane.added.seems_empty()) {
      if (Task* const task = lane.batch.claim(); task != nullptr) return {.task = task};
    }
    return take_in_turn(lane, turn, room);
  }

  // From another's lane. `dear`: also where it costs the thief a system call.
  Taken steal(std::size_t worker, bool dear, Task& room) {
    for (std::size_t i = 1; i < workers_; ++i) {
      const Taken taken = take_from(lanes_[(worker + i) % workers_], dear, room);
      if (taken.task != nullptr) return taken;
    }
    return {};
  }

  // Any task, for whoever empties the pool.
  bool take_any(Task& task) {
    return std::any_of(shared_.begin(), shared_.end(),
                       [&task](TaskRing& ring) { return ring.take(task).tasks == 1; }) ||
           std::any_of(lanes().begin(), lanes().end(), [&task](Lane& lane) {
             return lane.added.take(task).tasks == 1 || lane.batch.steal(task);
           });
  }

  // Exact when nobody adds or takes; never misses a task whose adder has returned.
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::size_t size() const {
    std::size_t size = 0;
    for (const TaskRing& ring : shared_) size += ring.size();
    for (const Lane& lane : lanes()) size += lane.added.size() + lane.batch.size();
    return size;
  }
  [[nodiscard]] bool closed() const {
    return std::all_of(shared_.begin(), shared_.end(),
                       [](const TaskRing& ring) { return ring.closed(); });
  }
  // Every shared ring has.
  [[nodiscard]] bool has_half_free() const {
    return std::all_of(shared_.begin(), shared_.end(),
                       [](const TaskRing& ring) { return ring.size() <= ring.capacity() / 2; });
  }
  [[nodiscard]] std::size_t high_water() const {
    std::size_t highest = 0;
    for (const TaskRing& ring : shared_) highest = std::max(highest, ring.high_water());
    return highest;
  }

 private:
  struct Lane {
    TaskRing added;
    TaskBatch batch;
    alignas(64) std::atomic<std::uint32_t> turn{0};  // counts its worker's calls of take()

    // Its worker's: whose lane it looks into next, and what that one's turn was at the last look.
    std::size_t watched = 0;
    std::uint32_t watched_turn = 0;
  };

  [[nodiscard]] std::span<Lane> lanes() const { return {lanes_.get(), workers_}; }

  static std::size_t bytes_of(std::size_t tasks) {
    const std::size_t bytes = TaskRing::cells_for(tasks) * sizeof(TaskCell) +
                              TaskRing::stamps_for(tasks) * sizeof(std::uint64_t);
    return (bytes + alignof(TaskCell) - 1) / alignof(TaskCell) * alignof(TaskCell);
  }

  Taken take_in_turn(Lane& lane, std::uint32_t turn, Task& room) {
    Taken taken;
    switch (turn % 16) {
      case 4:
        taken = take_one(lane.added, room);
        break;
      case 8:
        taken = take_normal(lane, room);
        break;
      case 12:
        taken = take_one(shared(TaskPriority::low), room);
        break;
      default:
        if (turn % kTurnsBetweenVisits == 0 && workers_ > 1) taken = visit(lane, turn, room);
        break;
    }
    if (taken.task == nullptr) taken = take_one(shared(TaskPriority::high), room);
    if (taken.task == nullptr) taken = take_one(lane.added, room);
    if (taken.task == nullptr) taken = take_normal(lane, room);
    if (taken.task == nullptr) taken = take_one(shared(TaskPriority::low), room);
    return taken;
  }
  // A worker whose turn is what it was at the last look has been busy with one task since: what
  // waits in its lane is not about to be run. Others are left in peace, because in a flood nearly
  // every batch holds something, and a system call each time would double what a task costs. Each
  // busy one is visited so often in a row that its batch is emptied, and then the next has its
  // turn.
  // Among several workers. Not inlined: it would keep the compiler from inlining take().
  [[gnu::noinline]] Taken visit(Lane& own, std::uint32_t turn, Task& room) {
    Lane& watched = lanes_[own.watched];
    const bool is_next_ones_turn = turn / kTurnsBetweenVisits % TaskBatch::kTasks == 0;
    if (!is_next_ones_turn && &watched != &own &&
        watched.turn.load(std::memory_order_relaxed) == own.watched_turn) {
      const Taken taken = take_from(watched, true, room);
      if (taken.task != nullptr) return taken;
    }
    do {
      own.watched = own.watched + 1 < workers_ ? own.watched + 1 : 0;
    } while (&lanes_[own.watched] == &own);
    own.watched_turn = lanes_[own.watched].turn.load(std::memory_order_relaxed);
    return {};
  }
  static Taken take_from(Lane& another, bool dear, Task& room) {
    const bool found = another.added.take(room).tasks == 1 ||
                       (dear && another.batch.size() > 0 && another.batch.steal(room));
    return {.task = found ? &room : nullptr};
  }
  static Taken take_one(TaskRing& ring, Task& room) {
    if (ring.seems_empty()) return {};
    const auto taken = ring.take(room);
    return {.task = taken.tasks == 1 ? &room : nullptr, .added_at_ns = taken.added_at_ns};
  }
  // One task while the queue is short, so that no batch hides work from an idle worker, and because
  // a small batch costs more than it spares.
  Taken take_normal(Lane& lane, Task& room) {
    if (Task* const task = lane.batch.claim(); task != nullptr) return {.task = task};
    TaskRing& ring = shared(TaskPriority::normal);
    const std::size_t enough = kSmallestBatch * workers_;
    const std::size_t waiting = batches_ ? ring.size_at_least(enough) : 0;
    if (waiting < enough) return take_one(ring, room);
    const auto taken = lane.batch.refill(waiting / workers_, ring);
    return {
        .task = lane.batch.claim(), .left_more = taken.tasks > 1, .added_at_ns = taken.added_at_ns};
  }

  std::array<TaskRing, kTaskPriorities> shared_;
  const std::size_t workers_;
  const std::unique_ptr<Lane[]> lanes_;  // one for each worker
  ProcessMemory memory_;
  const bool batches_;
};

}  // namespace evpool
