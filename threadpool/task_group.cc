#include "threadpool/task_group.h"

#include <array>
#include <cassert>
#include <cstdint>
#include <exception>
#include <utility>

#include "threadpool/futex.h"
#include "threadpool/mutex.h"
#include "threadpool/thread_scope.h"
#include "threadpool/would_deadlock.h"

namespace evpool {

class TaskGroup::State {
 public:
  explicit State(const ThreadPool& pool) : pool_(pool), pool_was_mine_(pool.is_mine()) {}

  // In a child of fork(): what waits is the parent's, and another of its threads may have held the
  // mutex. A group that the child itself makes for its parent's pool is its own.
  [[nodiscard]] bool is_inherited() const { return pool_was_mine_ && !pool_.is_mine(); }

  // False, and the task stays: as many wait as may.
  bool add(Task& task) {
    bool to_wake = false;
    {
      const MutexLock lock(mutex_);
      if (waiting_ == tasks_.size()) return false;
      tasks_[waiting_++] = std::move(task);
      to_wake = call_sleeper();
    }
    if (to_wake) futex_wake_all(calls_);
    return true;
  }

  // Runs the task that was added last, whose memory is the warmest. False: none waits.
  bool run_one() {
    Task task;
    {
      const MutexLock lock(mutex_);
      if (waiting_ == 0) return false;
      task = std::move(tasks_[--waiting_]);
      ++running_;
    }
    run_counted(task);
    return true;
  }

  // Runs a task that was not added.
  void run(Task& task) {
    {
      const MutexLock lock(mutex_);
      ++running_;
    }
    run_counted(task);
  }

  enum class WaitEnd : std::uint8_t { all_ended, own_task, inherited };
  WaitEnd wait() {
    for (;;) {
      if (is_inherited()) return WaitEnd::inherited;  // also by a task that it ran and that forked
      if (run_one()) continue;
      std::uint32_t calls = 0;
      {
        const MutexLock lock(mutex_);
        if (waiting_ > 0) continue;
        if (running_ == 0) return WaitEnd::all_ended;
        // Only here, because it looks at as many tasks as this thread has nested.
        if (ThreadScope<State>::holds(*this)) return WaitEnd::own_task;
        sleeping_ = true;
        calls = calls_.load();
      }
      futex_wait(calls_, calls);
    }
  }

  std::exception_ptr take_exception() {
    const MutexLock lock(mutex_);
    return std::exchange(first_exception_, nullptr);
  }

 private:
  void run_counted(Task& task) noexcept {
    std::exception_ptr exception;
    {
      const ThreadScope<State> in_own_task(*this);
      try {
        task.run();
      } catch (...) {
        exception = exception_of_task();
      }
      task.reset();
    }
    if (is_inherited()) return;
    bool to_wake = false;
    {
      const MutexLock lock(mutex_);
      if (first_exception_ == nullptr) first_exception_ = std::move(exception);
      to_wake = --running_ == 0 && call_sleeper();
    }
    if (to_wake) futex_wake_all(calls_);
  }

  // Makes the thread that sleeps in wait(), if one does, look again: all has ended, or something is
  // there to run, for which no worker may be free, nor come if the pool refused the ticket. True:
  // it is to be woken, best without the mutex.
  bool call_sleeper() EVPOOL_REQUIRES(mutex_) {
    if (!std::exchange(sleeping_, false)) return false;
    calls_.fetch_add(1);
    return true;
  }

  const ThreadPool& pool_;    // not used once the group is gone, and with it every task
  const bool pool_was_mine_;  // when the group was made

  Mutex mutex_;
  std::array<Task, kWaitingTasks> tasks_ EVPOOL_GUARDED_BY(mutex_);
  std::size_t waiting_ EVPOOL_GUARDED_BY(mutex_) = 0;
  std::size_t running_ EVPOOL_GUARDED_BY(mutex_) = 0;
  bool sleeping_ EVPOOL_GUARDED_BY(mutex_) = false;  // in wait(), and not called yet
  std::exception_ptr first_exception_ EVPOOL_GUARDED_BY(mutex_);
  FutexWord calls_{0};
};

// What the pool gets for each task of the group: leave to run one of them, if one still waits.
class TaskGroup::Ticket {
 public:
  explicit Ticket(std::shared_ptr<State> state) : state_(std::move(state)) {}
  void operator()() { state_->run_one(); }

 private:
  std::shared_ptr<State> state_;
};

TaskGroup::TaskGroup(ThreadPool& pool, TaskPriority priority)
    : pool_(pool), priority_(priority), state_(std::make_shared<State>(pool)) {}

TaskGroup::~TaskGroup() {
  [[maybe_unused]] const State::WaitEnd end = state_->wait();
  assert(end != State::WaitEnd::own_task && "a task must not destroy its own group");
}

void TaskGroup::add(Task&& task) {
  assert(static_cast<bool>(task) && "an empty task cannot be added");
  if (state_->is_inherited())
    throw_would_deadlock("a child of fork() must not add to its parent's group");
  if (!state_->add(task)) {
    state_->run(task);
    return;
  }
  // Refused, no worker will come for the task: wait() runs it.
  static_cast<void>(pool_.try_add(Ticket(state_), priority_));
}

void TaskGroup::wait() {
  switch (state_->wait()) {
    case State::WaitEnd::own_task:
      throw_would_deadlock("a task must not wait for its own group");
    case State::WaitEnd::inherited:
      throw_would_deadlock("a child of fork() must not wait for its parent's group");
    case State::WaitEnd::all_ended:
      break;
  }
  if (const std::exception_ptr exception = state_->take_exception()) {
    std::rethrow_exception(exception);
  }
}

}  // namespace evpool
