#include "threadpool/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "threadpool/block_pool.h"
#include "threadpool/check_options.h"
#include "threadpool/discarding_callers.h"
#include "threadpool/futex.h"
#include "threadpool/mutex.h"
#include "threadpool/parking.h"
#include "threadpool/queue_sweeper.h"
#include "threadpool/room_signal.h"
#include "threadpool/task_queues.h"
#include "threadpool/usable_cpus.h"
#include "threadpool/worker_counts.h"
#include "threadpool/worker_thread.h"
#include "threadpool/would_deadlock.h"

namespace evpool {
namespace {

void report_exception(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "evpool: a task threw: %s\n", error.what());
  } catch (...) {
    std::fprintf(stderr, "evpool: a task threw something that is no std::exception\n");
  }
}

}  // namespace

class ThreadPool::Implementation {
 public:
  explicit Implementation(const ThreadPoolOptions& options)
      : options_(options),
        queues_(options.workers, options.capacity_tasks),
        parking_(options.workers),
        workers_(options.workers) {}
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  // When it throws, some workers have been started: the pool must be stopped.
  void start_workers(const std::shared_ptr<Implementation>& self) {
    for (std::size_t i = 0; i < workers_.size(); ++i) start_worker(i, self);
    if (!options_.on_worker_start) return;
    for (std::uint32_t reported = starts_reported_.load(); reported < workers_.size();
         reported = starts_reported_.load()) {
      futex_wait(starts_reported_, reported);
    }
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (workers_[i].start_failure != nullptr) rethrow_start_failure(i);
    }
  }

  AddResult try_add(Task& task, TaskPriority priority) {
    const AddResult result = add_one(task, priority);
    if (result != AddResult::added) count_refused(1);
    return result;
  }

  BulkAddResult try_add_bulk(std::span<Task> tasks, TaskPriority priority) {
    const BulkAddResult added = add(tasks, priority);
    if (added.tasks < tasks.size()) count_refused(tasks.size() - added.tasks);
    return added;
  }

  AddResult add_until(Clock::time_point deadline, Task&& task, TaskPriority priority) {
    const TaskRing& ring = queues_.shared(priority);
    AddResult result = add_one(task, priority);
    while (result == AddResult::full && !is_own_worker() && Clock::now() < deadline) {
      room_.wait(ring, deadline);
      result = add_one(task, priority);
    }
    if (result != AddResult::added) count_refused(1);
    return result == AddResult::full && is_own_worker() ? AddResult::own_worker : result;
  }

  void discard_queued() {
    if (!queues_.is_mine()) return;
    const DiscardingCallers::Entry entry(discarding_callers_);
    discarding_.store(true);
    close(Phase::stopped);
    Task task;
    // An adder may be between its claim and its store; it does not block there.
    while (!queues_.empty()) {
      if (queues_.take_any(task)) {
        discard(task);
        discarded_by_callers_.fetch_add(1, std::memory_order_relaxed);
      } else {
        sched_yield();
      }
    }
  }

  // False: the deadline passed first.
  bool drain(Clock::time_point deadline) {
    if (!queues_.is_mine()) return true;
    refuse_own_worker();
    close(Phase::draining);
    return join(0, deadline);
  }

  void stop() {
    if (!queues_.is_mine()) return;
    refuse_own_worker();
    discard_queued();
    join(0, kNoDeadline);
  }

  void destroy() {
    if (!queues_.is_mine()) return;
    discard_queued();
    join(is_own_worker() ? 1 : 0, kNoDeadline);
  }

  [[nodiscard]] ThreadPoolStatistics statistics() const {
    ThreadPoolStatistics statistics;
    if (!queues_.is_mine()) return statistics;
    statistics.queued = queues_.size();
    statistics.high_water = queues_.high_water();
    statistics.cancelled = sweeper_.swept();
    statistics.discarded = discarded_by_callers_.load(std::memory_order_relaxed);
    statistics.refused = refused_.load(std::memory_order_relaxed);
    statistics.wakes = wakes_.load(std::memory_order_relaxed);
    for (const Worker& worker : workers_) worker.counts.add_to(statistics);
    return statistics;
  }

  [[nodiscard]] static const Implementation* of_this_thread() {
    return current_worker == nullptr ? nullptr : current_worker->pool;
  }
  [[nodiscard]] bool is_own_worker() const { return of_this_thread() == this; }
  [[nodiscard]] bool is_mine() const { return queues_.is_mine(); }

  std::shared_ptr<BlockPool> blocks() {
    std::call_once(blocks_made_,
                   [this] { blocks_ = std::make_shared<BlockPool>(sweeper_.spent_tasks()); });
    return blocks_;
  }
  void count_spent_task() { sweeper_.spent_tasks()->count_one(); }
  [[nodiscard]] std::size_t workers() const { return workers_.size(); }

 private:
  enum class Phase : std::uint8_t { running, draining, stopped };

  // A cache line of its own, so that a worker's counting disturbs no other.
  struct alignas(64) Worker {
    Implementation* pool = nullptr;
    std::size_t number = 0;
    WorkerCounts counts;
    std::uint64_t executed_at_sleep = 0;
    [[nodiscard]] std::uint64_t tasks_since_sleep() const {
      return counts.executed.get() - executed_at_sleep;
    }

    pthread_t thread{};
    bool started = false;
    std::exception_ptr start_failure;      // read once it has reported its start
    std::shared_ptr<Implementation> keep;  // what it runs on, until it ends
  };

  // How often a worker that has run so many tasks since it last slept looks again, giving way to
  // others between, before it sleeps: more will come. Who was woken for a few sleeps at once, which
  // leaves the processor to those who will wake it.
  static constexpr int kLooksBeforeSleep = 4;
  static constexpr std::uint64_t kBusyTasks = 16;

  void start_worker(std::size_t number, const std::shared_ptr<Implementation>& self) {
    Worker& worker = workers_[number];
    worker.pool = this;
    worker.number = number;
    worker.keep = self;
    workers_left_.fetch_add(1);
    try {
      worker.thread = start_worker_thread(options_, number, &Implementation::run_worker, &worker);
    } catch (...) {
      workers_left_.fetch_sub(1);
      worker.keep.reset();
      throw;
    }
    worker.started = true;
  }

  [[noreturn]] void rethrow_start_failure(std::size_t number) const {
    const std::string what =
        describe_worker("the start hook of", number, workers_.size()) + " threw";
    try {
      std::rethrow_exception(workers_[number].start_failure);
    } catch (const std::exception& error) {
      std::throw_with_nested(std::runtime_error(what + ": " + error.what()));
    } catch (...) {
      std::throw_with_nested(std::runtime_error(what));
    }
  }

  static void* run_worker(void* argument) {
    Worker& worker = *static_cast<Worker*>(argument);
    Implementation& pool = *worker.pool;
    const std::shared_ptr<Implementation> last_out = std::move(worker.keep);
    current_worker = &worker;
    pthread_setname_np(pthread_self(), pool.options_.thread_name.substr(0, 15).c_str());
    if (pool.start(worker)) {
      pool.work(worker);
      // In a child that a task forked: its only thread ends, and with it the child.
      if (!pool.queues_.is_mine()) return nullptr;
      if (pool.options_.on_worker_exit) pool.options_.on_worker_exit(worker.number);
    }
    current_worker = nullptr;
    if (pool.workers_left_.fetch_sub(1) <= 2) futex_wake_all(pool.workers_left_);
    return nullptr;
  }

  bool start(Worker& worker) {
    if (!options_.on_worker_start) return true;
    try {
      options_.on_worker_start(worker.number);
    } catch (...) {
      worker.start_failure = std::current_exception();
    }
    const bool started = worker.start_failure == nullptr;
    starts_reported_.fetch_add(1);
    futex_wake_all(starts_reported_);
    return started;
  }

  // Until there will be no task any more, or in a child of fork().
  void work(Worker& worker) {
    Task room;
    while (queues_.is_mine()) {
      auto taken = queues_.take(worker.number, room);
      if (taken.task == nullptr) taken = search(worker, room);
      if (taken.task == nullptr) return;
      if (taken.left_more) wake_one();
      room_.tell_of_room(queues_);
      if (discarding_.load(std::memory_order_relaxed)) {
        discard(*taken.task);
        worker.counts.discarded.add();
      } else {
        run(*taken.task, worker, taken.added_at_ns);
      }
    }
  }

  // Returns without a task when there will be none any more.
  TaskQueues::Taken search(Worker& worker, Task& room) {
    parking_.begin_search();
    bool woken = false;
    for (;;) {
      const int looks = worker.tasks_since_sleep() < kBusyTasks ? 1 : kLooksBeforeSleep;
      for (int look = 1;; ++look) {
        const bool last_look = look >= looks || !parking_.is_only_searcher();
        auto taken = queues_.take(worker.number, room);
        if (taken.task == nullptr) taken = queues_.steal(worker.number, last_look, room);
        if (taken.task != nullptr) {
          if (parking_.end_search() && !queues_.empty()) wake_one();
          return taken;
        }
        if (last_look) break;
        sched_yield();
      }
      // Being woken to end is not spurious.
      if (std::exchange(woken, false) && !queues_.closed()) worker.counts.spurious_wakes.add();
      parking_.announce_sleep();
      // Once the queues are closed nobody may be there any more to wake this worker: it stays awake
      // for the last tasks.
      if ((!queues_.empty() || queues_.closed()) && parking_.take_back_sleep()) {
        if (queues_.closed() && queues_.empty()) {
          static_cast<void>(parking_.end_search());
          return {};
        }
        sched_yield();
        continue;
      }
      worker.counts.parks.add();
      worker.executed_at_sleep = worker.counts.executed.get();
      parking_.sleep(worker.number);
      woken = true;
    }
  }

  // `added_at_ns`: not 0 for a task whose times are measured.
  void run(Task& task, Worker& worker, std::uint64_t added_at_ns) {
    const std::uint64_t started_at_ns = added_at_ns == 0 ? 0 : TaskRing::now_ns();
    TaskOutcome outcome = TaskOutcome::executed;
    try {
      outcome = task.run();
    } catch (...) {
      const std::exception_ptr exception = exception_of_task();
      options_.on_exception ? options_.on_exception(exception) : report_exception(exception);
    }
    task.reset();
    (outcome == TaskOutcome::executed ? worker.counts.executed : worker.counts.cancelled).add();
    if (added_at_ns != 0) {
      worker.counts.queue_time.add(started_at_ns - added_at_ns);
      worker.counts.run_time.add(TaskRing::now_ns() - started_at_ns);
    }
  }

  static void discard(Task& task) {
    task.discard();
    task.reset();
  }

  AddResult add_one(Task& task, TaskPriority priority) {
    if (!queues_.is_mine()) return AddResult::stopped;
    TaskRing* const lane = own_lane(priority);
    auto refusal = lane != nullptr ? lane->add_one(task) : TaskRing::Refusal::full;
    if (refusal != TaskRing::Refusal::none) refusal = queues_.shared(priority).add_one(task);
    if (refusal == TaskRing::Refusal::full && sweeper_.make_room(priority)) {
      refusal = queues_.shared(priority).add_one(task);
    }
    if (refusal != TaskRing::Refusal::none) return result_of(refusal);
    yield_point();
    wake_one();
    return AddResult::added;
  }

  BulkAddResult add(std::span<Task> tasks, TaskPriority priority) {
    if (!queues_.is_mine()) return {.result = AddResult::stopped};
    std::size_t added = 0;
    auto refusal = TaskRing::Refusal::none;
    if (TaskRing* const lane = own_lane(priority); lane != nullptr) added = lane->add(tasks).tasks;
    for (bool swept = false; added < tasks.size(); swept = true) {
      const auto shared = queues_.shared(priority).add(tasks.subspan(added));
      added += shared.tasks;
      refusal = shared.refusal;
      if (refusal != TaskRing::Refusal::full || (swept && shared.tasks == 0)) break;
      if (!sweeper_.make_room(priority)) break;
    }
    yield_point();
    if (added > 0) wake_one();
    return {.tasks = added, .result = result_of(refusal)};
  }

  // Where this thread adds first, if it is a worker with a lane.
  [[nodiscard]] TaskRing* own_lane(TaskPriority priority) {
    const bool has_lane = options_.own_tasks_first && priority == TaskPriority::normal &&
                          is_own_worker() && phase_.load() == Phase::running;
    return has_lane ? queues_.lane(current_worker->number) : nullptr;
  }

  [[nodiscard]] AddResult result_of(TaskRing::Refusal refusal) const {
    switch (refusal) {
      case TaskRing::Refusal::none:
        return AddResult::added;
      case TaskRing::Refusal::full:
        return AddResult::full;
      case TaskRing::Refusal::closed:
        break;
    }
    return phase_.load() == Phase::draining ? AddResult::draining : AddResult::stopped;
  }

  void count_refused(std::size_t tasks) { refused_.fetch_add(tasks, std::memory_order_relaxed); }

  void wake_one() {
    if (parking_.wake_one()) wakes_.fetch_add(1, std::memory_order_relaxed);
  }

  // Before the rings are closed: who is refused by one then reads why.
  void close(Phase phase) {
    Phase before = phase_.load();
    while (before < phase && !phase_.compare_exchange_weak(before, phase)) {
    }
    queues_.close();
    parking_.wake_all();
    room_.tell();
  }

  void refuse_own_worker() const {
    if (is_own_worker()) {
      throw_would_deadlock("a pool cannot be drained or stopped by its own worker");
    }
  }

  // Waits until only `but` workers are left, 0 or 1: this one, which is let go; and until no caller
  // discards any more. False: not in time.
  bool join(std::uint32_t but, Clock::time_point deadline) {
    for (std::uint32_t left = workers_left_.load(); left > but; left = workers_left_.load()) {
      if (!futex_wait(workers_left_, left, deadline) && workers_left_.load() > but) return false;
    }
    if (!discarding_callers_.wait_until_none(deadline)) return false;
    const MutexLock lock(joining_);
    for (Worker& worker : workers_) {
      if (!std::exchange(worker.started, false)) continue;
      if (&worker == current_worker) {
        pthread_detach(worker.thread);
      } else {
        pthread_join(worker.thread, nullptr);
      }
    }
    phase_.store(Phase::stopped);
    return true;
  }

  static thread_local Worker* current_worker;

  // Constant after construction.
  const ThreadPoolOptions options_;

  TaskQueues queues_;
  DiscardingCallers discarding_callers_;
  QueueSweeper sweeper_{queues_, options_.capacity_tasks, discarding_callers_};
  Parking parking_;
  alignas(64) std::atomic<Phase> phase_{Phase::running};
  std::atomic<bool> discarding_{false};
  RoomSignal room_;  // for add_until

  alignas(64) std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> wakes_{0};
  std::atomic<std::uint64_t> discarded_by_callers_{0};

  std::once_flag blocks_made_;
  std::shared_ptr<BlockPool> blocks_;

  FutexWord starts_reported_{0};
  FutexWord workers_left_{0};
  Mutex joining_;  // guards each worker's `thread` and `started` once start_workers has returned
  std::vector<Worker> workers_;
};

thread_local ThreadPool::Implementation::Worker* ThreadPool::Implementation::current_worker =
    nullptr;

std::unique_ptr<ThreadPool> ThreadPool::create(const ThreadPoolOptions& options) {
  check_options(options);
  ThreadPoolOptions wanted = options;
  if (wanted.workers == 0) wanted.workers = std::min(usable_cpus(), wanted.kMaxWorkers);
  auto implementation = std::make_shared<Implementation>(wanted);
  // Whole before the first thread: should a later one fail, its destructor stops the earlier.
  std::unique_ptr<ThreadPool> pool(new ThreadPool(std::move(implementation)));
  pool->implementation_->start_workers(pool->implementation_);
  return pool;
}

ThreadPool::ThreadPool(std::shared_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}

ThreadPool::~ThreadPool() { implementation_->destroy(); }

AddResult ThreadPool::try_add(Task&& task, TaskPriority priority) {
  return implementation_->try_add(task, priority);
}

BulkAddResult ThreadPool::try_add_bulk(std::span<Task> tasks, TaskPriority priority) {
  return implementation_->try_add_bulk(tasks, priority);
}

AddResult ThreadPool::add_until(Clock::time_point deadline, Task&& task, TaskPriority priority) {
  return implementation_->add_until(deadline, std::move(task), priority);
}

void ThreadPool::discard_queued() { implementation_->discard_queued(); }

ThreadPoolStatistics ThreadPool::drain() {
  implementation_->drain(kNoDeadline);
  return implementation_->statistics();
}

bool ThreadPool::drain_until(Clock::time_point deadline) {
  return implementation_->drain(deadline);
}

ThreadPoolStatistics ThreadPool::stop() {
  implementation_->stop();
  return implementation_->statistics();
}

ThreadPoolStatistics ThreadPool::statistics() const { return implementation_->statistics(); }

std::size_t ThreadPool::workers() const { return implementation_->workers(); }

const void* ThreadPool::of_this_thread() { return Implementation::of_this_thread(); }

std::shared_ptr<BlockPool> ThreadPool::blocks() { return implementation_->blocks(); }

bool ThreadPool::is_mine() const { return implementation_->is_mine(); }

void ThreadPool::count_spent_task() { implementation_->count_spent_task(); }

}  // namespace evpool
