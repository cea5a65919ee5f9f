// A fixed number of worker threads that run tasks in the order they were added.
//
//   auto pool = evpool::ThreadPool::create({.workers = 4, .capacity_tasks = 1024});
//   if (pool->try_add([] { work(); }) == evpool::AddResult::full) { ... }
//   pool->drain();
//
// Threads: try_add and statistics may be called from any thread, also from a task, also while
// another thread calls drain or stop. drain, stop and the destructor must not be called from one of
// the pool's own workers (asserted), and the destructor not while any other call is under way.
//
// Bounded: at most `capacity_tasks` tasks wait; all memory for them is allocated by create, none by
// adding or running. Nothing but drain, stop and the destructor blocks.
//
// Every task that was added is either run or discarded (Task's header says how it learns of that),
// exactly once, by the time drain or stop has returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "task.h"

namespace evpool {

struct ThreadPoolOptions {
  std::size_t workers = 1;             // 1 to kMaxWorkers
  std::size_t capacity_tasks = 1024;   // 1 to kMaxCapacityTasks
  std::string thread_name = "worker";  // the kernel shows the first 15 bytes
  // What to do with an exception that leaves a task; called on the worker, must not throw. Empty:
  // one line on standard error. The worker goes on either way.
  std::function<void(std::exception_ptr)> on_exception = {};

  static constexpr std::size_t kMaxWorkers = 1024;
  static constexpr std::size_t kMaxCapacityTasks = std::size_t{1} << 24U;
};

enum class AddResult : std::uint8_t {
  added,
  full,    // `capacity_tasks` are waiting
  closed,  // drain or stop has begun
};

struct ThreadPoolStatistics {
  std::size_t queued = 0;       // waiting now
  std::uint64_t executed = 0;   // run to their end, or to an exception
  std::uint64_t discarded = 0;  // handed to their discard hook
};

class ThreadPool {
 public:
  // All or nothing: throws std::invalid_argument for options out of range, std::bad_alloc, or
  // std::system_error that names the worker whose thread could not be started; then no thread and
  // no memory is left behind. Workers start with all asynchronous signals blocked.
  [[nodiscard]] static std::unique_ptr<ThreadPool> create(const ThreadPoolOptions& options);

  // As stop().
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Takes the task when it says `added`; otherwise leaves it with the caller.
  [[nodiscard]] AddResult try_add(Task&& task);

  // Accepts nothing more and discards, in this thread, what has not started. Does not wait for what
  // is running; drain or stop must follow.
  void discard_queued();

  // Accepts nothing more, runs all that was accepted, joins the workers. A second drain or stop,
  // also at the same time, waits for the first; the totals returned are final.
  ThreadPoolStatistics drain();

  // Accepts nothing more, finishes what is running, discards the rest, joins the workers.
  ThreadPoolStatistics stop();

  [[nodiscard]] ThreadPoolStatistics statistics() const;

 private:
  class Implementation;
  explicit ThreadPool(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace evpool
