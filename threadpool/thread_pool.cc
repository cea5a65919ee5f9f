#include "threadpool/thread_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/lockfree/queue.hpp>
#include <cassert>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "threadpool/mutex.h"

namespace evpool {
namespace {

// The state of admission and parking is one word, so that each of its rules is one atomic step and
// all steps have one order:
//   bits 0 to 31   pending: tasks admitted and not yet taken by a worker
//   bits 32 to 62  sleepers: workers that have parked and that nobody has claimed to wake
//   bit 63         closed
// A worker parks only by a step from pending == 0. An adder's first step counts its task as pending
// and shows it the sleepers of that very moment: either it sees the parked worker and wakes one, or
// the worker sees the pending task and does not park. Hence no wake-up is lost.
constexpr std::uint64_t kOnePending = 1;
constexpr std::uint64_t kOneSleeper = std::uint64_t{1} << 32U;
constexpr std::uint64_t kClosed = std::uint64_t{1} << 63U;

constexpr std::uint64_t pending_of(std::uint64_t state) { return state & 0xFFFF'FFFFU; }
constexpr std::uint64_t sleepers_of(std::uint64_t state) { return (state & ~kClosed) >> 32U; }
constexpr bool is_closed(std::uint64_t state) { return (state & kClosed) != 0; }

// A counting semaphore on a bare futex: libstdc++ 12's has lost wake-ups. Each release lets exactly
// one acquire through.
class Semaphore {
 public:
  void release(std::uint32_t count) {
    tokens_.fetch_add(count);
    syscall(SYS_futex, &tokens_, FUTEX_WAKE_PRIVATE, static_cast<int>(count), nullptr, nullptr, 0);
  }
  void acquire() {
    for (;;) {
      std::uint32_t tokens = tokens_.load();
      while (tokens > 0) {
        if (tokens_.compare_exchange_weak(tokens, tokens - 1)) return;
      }
      // Returns at once when a token came meanwhile; a signal or a stolen token loops.
      syscall(SYS_futex, &tokens_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
  }

 private:
  std::atomic<std::uint32_t> tokens_{0};
  static_assert(sizeof(std::atomic<std::uint32_t>) == 4, "the kernel's futex word");
};

// Blocks all signals in this thread while it lives; threads started meanwhile inherit that.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    // Faults stay deliverable: a blocked SIGSEGV kills without a trace.
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) {
      sigdelset(&all, fault);
    }
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

void report_exception(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "evpool: a task threw: %s\n", error.what());
  } catch (...) {
    std::fprintf(stderr, "evpool: a task threw something that is no std::exception\n");
  }
}

void check(const ThreadPoolOptions& options) {
  if (options.workers < 1 || options.workers > ThreadPoolOptions::kMaxWorkers) {
    throw std::invalid_argument("cannot create a pool of " + std::to_string(options.workers) +
                                " workers: it must have 1 to " +
                                std::to_string(ThreadPoolOptions::kMaxWorkers));
  }
  if (options.capacity_tasks < 1 || options.capacity_tasks > ThreadPoolOptions::kMaxCapacityTasks) {
    throw std::invalid_argument(
        "cannot create a pool with a capacity of " + std::to_string(options.capacity_tasks) +
        " tasks: it must be 1 to " + std::to_string(ThreadPoolOptions::kMaxCapacityTasks));
  }
}

}  // namespace

class ThreadPool::Implementation {
 public:
  explicit Implementation(const ThreadPoolOptions& options)
      : options_(options),
        slots_(options.capacity_tasks),
        free_slots_(0),
        ready_slots_(0),
        workers_(options.workers) {
    // Not by the queues' constructors: those leak their nodes when one of them cannot be allocated
    // (Boost 1.74). What reserve() has allocated by then is freed with the queue.
    free_slots_.reserve(options.capacity_tasks);
    ready_slots_.reserve(options.capacity_tasks);
    for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
      [[maybe_unused]] const bool pushed = free_slots_.bounded_push(slot);
      assert(pushed);
    }
  }

  ~Implementation() { join(); }
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  // When it throws, some workers have been started: the pool must be stopped.
  void start_workers() {
    const AllSignalsBlocked inherited_by_workers;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      Worker& worker = workers_[i];
      worker.pool = this;
      const int error =
          pthread_create(&worker.thread, nullptr, &Implementation::run_worker, &worker);
      if (error != 0) {
        throw std::system_error(error, std::generic_category(),
                                "cannot start worker " + std::to_string(i + 1) + " of " +
                                    std::to_string(workers_.size()));
      }
      worker.started = true;
    }
  }

  AddResult try_add(Task&& task) {
    const std::uint64_t before = state_.fetch_add(kOnePending);
    if (is_closed(before) || pending_of(before) >= slots_.size()) {
      state_.fetch_sub(kOnePending);
      return is_closed(before) ? AddResult::closed : AddResult::full;
    }
    // Admission is a free slot: a worker gives its slot back before it counts the task as taken.
    std::uint32_t slot = 0;
    [[maybe_unused]] const bool has_slot = free_slots_.pop(slot);
    assert(has_slot);
    slots_[slot] = std::move(task);
    [[maybe_unused]] const bool pushed = ready_slots_.bounded_push(slot);
    assert(pushed);
    if (sleepers_of(before) > 0) wake_one();
    return AddResult::added;
  }

  void discard_queued() {
    discarding_.store(true);
    close();
    Task task;
    // An adder may be between its admission and its push; it does not block there.
    while (pending_of(state_.load()) > 0) {
      if (take(task)) {
        discard(task, discarded_by_callers_);
      } else {
        sched_yield();
      }
    }
  }

  void close() {
    std::uint64_t state = state_.load();
    while (!state_.compare_exchange_weak(state, pending_of(state) | kClosed)) {
    }
    if (sleepers_of(state) > 0) parked_.release(static_cast<std::uint32_t>(sleepers_of(state)));
  }

  // REQUIRES: close() was called, or no worker was started.
  void join() {
    assert(current_pool != this && "a pool cannot be drained or stopped by its own worker");
    const MutexLock lock(joining_);
    for (Worker& worker : workers_) {
      if (!std::exchange(worker.started, false)) continue;
      pthread_join(worker.thread, nullptr);
    }
  }

  [[nodiscard]] ThreadPoolStatistics statistics() const {
    ThreadPoolStatistics statistics;
    statistics.queued = std::min<std::size_t>(pending_of(state_.load()), slots_.size());
    statistics.discarded = discarded_by_callers_.load();
    for (const Worker& worker : workers_) {
      statistics.executed += worker.executed.load();
      statistics.discarded += worker.discarded.load();
    }
    return statistics;
  }

 private:
  // One cache line each, so that a worker's counting disturbs no other.
  struct alignas(64) Worker {
    Implementation* pool = nullptr;
    pthread_t thread{};
    bool started = false;
    std::atomic<std::uint64_t> executed{0};
    std::atomic<std::uint64_t> discarded{0};
  };

  static void* run_worker(void* argument) {
    Worker& worker = *static_cast<Worker*>(argument);
    current_pool = worker.pool;
    worker.pool->work(worker);
    return nullptr;
  }

  void work(Worker& worker) {
    pthread_setname_np(pthread_self(), options_.thread_name.substr(0, 15).c_str());
    Task task;
    for (;;) {
      if (take(task)) {
        if (discarding_.load()) {
          discard(task, worker.discarded);
        } else {
          run(task, worker);
        }
        continue;
      }
      std::uint64_t state = state_.load();
      if (pending_of(state) > 0) {
        sched_yield();  // an adder is between its admission and its push
      } else if (is_closed(state)) {
        return;
      } else if (state_.compare_exchange_strong(state, state + kOneSleeper)) {
        parked_.acquire();
      }
    }
  }

  bool take(Task& task) {
    std::uint32_t slot = 0;
    if (!ready_slots_.pop(slot)) return false;
    task = std::move(slots_[slot]);
    [[maybe_unused]] const bool pushed = free_slots_.bounded_push(slot);
    assert(pushed);
    state_.fetch_sub(kOnePending);
    return true;
  }

  void run(Task& task, Worker& worker) {
    try {
      task.run();
    } catch (...) {
      const std::exception_ptr exception = std::current_exception();
      options_.on_exception ? options_.on_exception(exception) : report_exception(exception);
    }
    task.reset();
    worker.executed.fetch_add(1);
  }

  static void discard(Task& task, std::atomic<std::uint64_t>& count) {
    task.discard();
    task.reset();
    count.fetch_add(1);
  }

  // Claims one sleeper and gives it a token, unless the work is gone or nobody sleeps any more.
  void wake_one() {
    std::uint64_t state = state_.load();
    while (sleepers_of(state) > 0 && pending_of(state) > 0) {
      if (state_.compare_exchange_weak(state, state - kOneSleeper)) {
        parked_.release(1);
        return;
      }
    }
  }

  using SlotQueue = boost::lockfree::queue<std::uint32_t>;

  static thread_local const Implementation* current_pool;

  // Constant after construction.
  const ThreadPoolOptions options_;

  // A slot belongs to whoever popped its number, from free_slots_ or from ready_slots_.
  std::vector<Task> slots_;
  SlotQueue free_slots_;
  SlotQueue ready_slots_;

  alignas(64) std::atomic<std::uint64_t> state_{0};
  alignas(64) Semaphore parked_;
  std::atomic<bool> discarding_{false};
  std::atomic<std::uint64_t> discarded_by_callers_{0};

  Mutex joining_;  // guards each worker's `thread` and `started` once start_workers has returned
  std::vector<Worker> workers_;
};

thread_local const ThreadPool::Implementation* ThreadPool::Implementation::current_pool = nullptr;

std::unique_ptr<ThreadPool> ThreadPool::create(const ThreadPoolOptions& options) {
  check(options);
  auto implementation = std::make_unique<Implementation>(options);
  // Whole before the first thread: should a later one fail, its destructor stops the earlier.
  std::unique_ptr<ThreadPool> pool(new ThreadPool(std::move(implementation)));
  pool->implementation_->start_workers();
  return pool;
}

ThreadPool::ThreadPool(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}

ThreadPool::~ThreadPool() { stop(); }

AddResult ThreadPool::try_add(Task&& task) { return implementation_->try_add(std::move(task)); }

void ThreadPool::discard_queued() { implementation_->discard_queued(); }

ThreadPoolStatistics ThreadPool::drain() {
  implementation_->close();
  implementation_->join();
  return implementation_->statistics();
}

ThreadPoolStatistics ThreadPool::stop() {
  discard_queued();
  implementation_->join();
  return implementation_->statistics();
}

ThreadPoolStatistics ThreadPool::statistics() const { return implementation_->statistics(); }

}  // namespace evpool
