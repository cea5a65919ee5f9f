// A fixed number of worker threads that run tasks from bounded queues.
//
//   auto pool = evpool::ThreadPool::create({.workers = 4, .capacity_tasks = 1024});
//   if (pool->try_add([] { work(); }) == evpool::AddResult::full) { ... }
//   pool->drain();
//
// Life: running, until drain or stop begins; then draining; stopped once no worker is left.
//
// Threads: everything but the destructor may be called from any thread at any time, also from a
// task, also while others add, drain or stop. What would make a worker wait for its own pool is
// refused instead (drain, stop, add_until). The destructor must be the last call: threads that may
// still add need a share in the pool (std::shared_ptr) or to be told to end first; a task may hold
// the last share.
//
// Bounded: `capacity_tasks` for each priority; besides, each worker holds up to 16 that it took
// from a deep queue at once, and each of several up to 64 that its own tasks added. All memory is
// had by create; adding and running allocate nothing. Cancelled tasks, and TaskGroup tickets with
// nothing left to run, keep nobody out: an adder that finds the queue full removes them and uses
// their places. (A queue of more than 4,096 tasks is swept only once one task in 4,096 is spent.)
//
// Each task that was added is run or discarded (task.h says how it learns of that), exactly once,
// by the time drain or stop has returned.
//
// Order: first in, first out for each priority, exactly so with one worker. High goes before normal
// before low, but every 16th task that a worker takes is the oldest of a later one; so low is late
// under load and never starved. What a worker's own task adds at normal priority goes first there.
// It, and what else a busy worker holds, is taken by another: by one that finds nothing else at
// once, and by one that does now and then, between the tasks it finds.
//
// After fork(), in the child, a pool has no workers: adding says `stopped`, drain and stop return
// at once, and what waits is neither run nor discarded: it is the parent's. Its memory stays taken.
// When a task forks and then returns in the child, that thread, the child's only one, ends without
// the exit hook, and so does the child, with status 0.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "task.h"
#include "task_priority.h"

namespace evpool {

class BlockPool;

struct ThreadPoolOptions {
  std::size_t workers = 0;             // up to kMaxWorkers; 0: as many as usable_cpus() says
  std::size_t capacity_tasks = 1024;   // 1 to kMaxCapacityTasks, of each priority
  std::string thread_name = "worker";  // the kernel shows the first 15 bytes
  std::size_t stack_bytes = 0;         // 0: the process's default
  std::vector<int> cpus = {};          // worker i runs on cpus[i % size] only; empty: anywhere
  // Whether what a task adds at normal priority goes before what waits already, which is cheaper,
  // among several workers. Otherwise everything has its turn in the order of the adding.
  bool own_tasks_first = true;

  // Whether workers have all asynchronous signals blocked, so that the program's signal handlers do
  // not run on them. Otherwise they have the mask of the thread that creates the pool: programs
  // that a task starts inherit the worker's mask, and most expect that nothing is blocked.
  bool block_signals = true;

  // Called on each worker, with its number from 0, before its first task and after its last. When
  // the first throws, create fails; the other must not throw.
  std::function<void(std::size_t)> on_worker_start = {};
  std::function<void(std::size_t)> on_worker_exit = {};

  // What to do with an exception that leaves a task; called on the worker, must not throw. Empty:
  // one line on standard error. The worker goes on either way.
  std::function<void(std::exception_ptr)> on_exception = {};

  static constexpr std::size_t kMaxWorkers = 1024;
  static constexpr std::size_t kMaxCapacityTasks = std::size_t{1} << 24U;
};

enum class AddResult : std::uint8_t {
  added,
  full,        // the queue is full (add_until: it stayed full until the deadline)
  draining,    // drain has begun
  stopped,     // stop has begun, or all workers have ended
  own_worker,  // add_until only: full, and a worker must not wait for its own pool
};

struct BulkAddResult {
  std::size_t tasks = 0;                // how many were taken, from the first on
  AddResult result = AddResult::added;  // why it was not all
};

// Of every 256th task of the shared queues.
struct SampledTime {
  std::uint64_t samples = 0;
  std::uint64_t total_ns = 0;
  std::uint64_t max_ns = 0;
};

struct ThreadPoolStatistics {
  // Waiting now. Cancelled tasks, and a group's tickets that are of no use any more, are among them
  // until their turn comes or somebody needs their place.
  std::size_t queued = 0;
  std::size_t high_water = 0;        // the most that have waited at once, of one priority
  std::uint64_t executed = 0;        // run to their end, or to an exception
  std::uint64_t cancelled = 0;       // found cancelled, or of no use, by a worker or a sweep
  std::uint64_t discarded = 0;       // handed to their discard hook
  std::uint64_t refused = 0;         // not added, for whichever reason
  std::uint64_t parks = 0;           // times that a worker went to sleep
  std::uint64_t wakes = 0;           // times that one was woken for a task
  std::uint64_t spurious_wakes = 0;  // of those, times that others had the task first
  SampledTime queue_time;            // from added to taken
  SampledTime run_time;
};

class ThreadPool {
 public:
  using Clock = std::chrono::steady_clock;

  // All or nothing: throws std::invalid_argument for options out of range, std::bad_alloc,
  // std::system_error that names the step (the memory, a worker's thread), or std::runtime_error
  // that names the worker whose start hook threw, with that exception nested; then no thread and no
  // memory is left behind.
  [[nodiscard]] static std::unique_ptr<ThreadPool> create(const ThreadPoolOptions& options);

  // As stop(). In one of the pool's own tasks: returns when all other workers have ended, and its
  // worker ends, with its exit hook, after the task.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Takes the task when it says `added`; otherwise leaves it with the caller. Never blocks. A
  // callable that is given with std::move becomes a Task first and is lost with that if it is
  // refused: make a `Task` of it and move that, to have it back. REQUIRES, as all that adds does:
  // no task is empty.
  [[nodiscard]] AddResult try_add(Task&& task, TaskPriority priority = TaskPriority::normal);

  // Takes as many as there is room for, in order, with one admission and at most one wake-up;
  // leaves the others where they are. Never blocks.
  [[nodiscard]] BulkAddResult try_add_bulk(std::span<Task> tasks,
                                           TaskPriority priority = TaskPriority::normal);

  // As try_add, but while the queue is full waits for room.
  [[nodiscard]] AddResult add_until(Clock::time_point deadline, Task&& task,
                                    TaskPriority priority = TaskPriority::normal);

  // Accepts nothing more and discards, in this thread, what has not started. Does not wait for what
  // is running; drain or stop must follow.
  void discard_queued();

  // Accepts nothing more, runs all that was accepted, joins the workers. A second drain or stop,
  // also at the same time, waits for the first, and for discard_queued in other threads; the totals
  // returned are final. Only in a discard hook of the same pool are they not, as it waits for no
  // hook there. Throws std::system_error, resource_deadlock_would_occur, in a task of the same
  // pool, and then does nothing.
  ThreadPoolStatistics drain();

  // As drain, but no longer than to the deadline. False: it passed, and tasks are still queued or
  // running; they go on, and drain or stop must follow. Beyond the deadline it waits only for what
  // a worker's thread does at its very end: destructors of thread_local variables.
  [[nodiscard]] bool drain_until(Clock::time_point deadline);

  // Accepts nothing more, finishes what is running, discards the rest, joins the workers. Throws as
  // drain does.
  ThreadPoolStatistics stop();

  // A snapshot of counts that others are changing. A task is counted when it has ended and been
  // destroyed: a moment after the get() of its future may have returned.
  [[nodiscard]] ThreadPoolStatistics statistics() const;

  [[nodiscard]] std::size_t workers() const;

  // Whether this thread is one of the pool's workers.
  [[nodiscard]] bool is_own_worker() const { return of_this_thread() == identity(); }

  // For future.h: names the pool, without being it; and of the pool whose worker this thread is.
  [[nodiscard]] const void* identity() const { return implementation_.get(); }
  [[nodiscard]] static const void* of_this_thread();
  // For future.h: where its memory comes from. Made at the first call, which throws std::bad_alloc
  // or std::system_error.
  [[nodiscard]] std::shared_ptr<BlockPool> blocks();
  // For task_group.h: false in a child of fork().
  [[nodiscard]] bool is_mine() const;
  // For task_group.h: a task in the queue has become one that retires (task.h).
  void count_spent_task();

 private:
  class Implementation;
  explicit ThreadPool(std::shared_ptr<Implementation> implementation);
  // Shared with the workers, one of which may outlive the pool.
  std::shared_ptr<Implementation> implementation_;
};

}  // namespace evpool
