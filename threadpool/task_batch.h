// Tasks that a worker took from a shared ring at once and runs one after the other. Claiming the
// next one costs the worker no locked instruction: after 16 cells have come from another core, one
// would wait for them all, and double what an empty task costs (docs/threadpool.md). Still nothing
// is stuck behind a long task: another worker can take what the owner has not claimed.
//
// How owner and thief exclude each other. The owner announces its claim and then looks whether the
// batch is frozen; the thief freezes it and then looks at the claim: of two such threads at least
// one must see the other, for which both would need a fence between store and load. The thief's
// membarrier(2) is that fence on both sides: it does not return before every running thread of the
// process has passed one. It costs the thief microseconds, and the owner nothing.
// (The technique is known as an asymmetric fence.)
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "threadpool/mutex.h"
#include "threadpool/task.h"
#include "threadpool/task_ring.h"
#include "threadpool/yield_point.h"

namespace evpool {

class TaskBatch {
 public:
  static constexpr std::size_t kTasks = 16;

  // Once for the process, before any batch is used. False: the kernel cannot do it, or a sandbox
  // forbids it; then do without batches.
  static bool enable() {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  }

  // The owner's: the next task, to be run where it is before the next call; nullptr if there is
  // none.
  Task* claim() {
    const std::uint32_t next = next_.load(std::memory_order_relaxed);
    if (next >= end_.load(std::memory_order_relaxed)) return nullptr;
    yield_point();
    next_.store(next + 1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the thief makes it a real one
    yield_point();
    // Acquire: who sees the end of a theft sees the end_ that it left.
    if (frozen_.load(std::memory_order_acquire)) return claim_after_thief(next);
    if (next < end_.load(std::memory_order_relaxed)) return &tasks_[next];
    next_.store(next);
    return nullptr;
  }

  // The owner's, of an empty batch whose last task is done with: up to `most` of the oldest of
  // `ring`.
  TaskRing::Claim refill(std::size_t most, TaskRing& ring) {
    TaskRing::Claim claimed;
    {
      const MutexLock lock(thieving_);
      claimed = ring.claim(std::min(most, kTasks));
      ring.move_out(claimed, tasks_.data());
      // Sequentially consistent, and after the tasks: the owner looks for sleepers next.
      next_.store(0);
      end_.store(static_cast<std::uint32_t>(claimed.tasks));
    }
    ring.give_back(claimed);
    return claimed;
  }

  // A snapshot, too large for a moment while it is refilled or stolen from.
  [[nodiscard]] std::size_t size() const {
    const std::uint32_t next = next_.load();
    const std::uint32_t end = end_.load();
    return end > next ? end - next : 0;
  }

  // Anybody else's: the last unclaimed task, moved into an empty one.
  bool steal(Task& task) {
    const MutexLock lock(thieving_);
    if (size() == 0) return false;
    frozen_.store(true);
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    yield_point();
    const std::uint32_t end = end_.load(std::memory_order_relaxed);
    const bool found = next_.load(std::memory_order_relaxed) < end;
    if (found) {
      task = std::move(tasks_[end - 1]);
      end_.store(end - 1);
    }
    frozen_.store(false, std::memory_order_release);
    return found;
  }

 private:
  // The thief may or may not have seen the claim: it is made again when the thief is done.
  Task* claim_after_thief(std::uint32_t next) {
    const MutexLock lock(thieving_);
    const bool left = next < end_.load(std::memory_order_relaxed);
    next_.store(left ? next + 1 : next);
    return left ? &tasks_[next] : nullptr;
  }

  // Tasks from next_ to end_ are unclaimed. next_ is the owner's alone; end_ is changed by the
  // owner when the batch is empty, and by a thief while it is frozen.
  alignas(64) std::atomic<std::uint32_t> next_{0};
  std::atomic<std::uint32_t> end_{0};
  std::atomic<bool> frozen_{false};
  Mutex thieving_;
  alignas(64) std::array<Task, kTasks> tasks_;
};

}  // namespace evpool
