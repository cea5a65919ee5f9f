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
  explicit State(ThreadPool& pool) : pool_(pool), pool_was_mine_(pool.is_mine()) {}

  // In a child of fork(): what waits is the parent's, and another of its threads may have held the
  // mutex. A group that the child itself makes for its parent's pool is its own.
  [[nodiscard]] bool is_inherited() const { return pool_was_mine_ && !pool_.is_mine(); }

  enum class Added : std::uint8_t {
    no,           // as many wait as may; the task stays
    with_ticket,  // the pool holds a ticket for each task that waits
    wants_ticket  // one was counted: add it to the pool, or call drop_ticket()
  };
  Added add(Task& task) {
    bool to_wake = false;
    bool wants_ticket = false;
    {
      const MutexLock lock(mutex_);
      if (waiting_ == tasks_.size()) return Added::no;
      tasks_[waiting_++] = std::move(task);
      wants_ticket = tickets_ < waiting_;
      if (wants_ticket) ++tickets_;
      to_wake = call_sleeper();
    }
    if (to_wake) futex_wake_all(calls_);
    return wants_ticket ? Added::wants_ticket : Added::with_ticket;
  }

  // The pool has not taken a ticket, or has dropped it.
  void drop_ticket() noexcept {
    const MutexLock lock(mutex_);
    --tickets_;
  }
  // A ticket that waits in the pool leaves it, if the others suffice for the tasks that wait.
  bool retire_ticket() noexcept {
    const MutexLock lock(mutex_);
    if (tickets_ <= waiting_) return false;
    --tickets_;
    return true;
  }
  void run_for_ticket() {
    Task task;
    {
      const MutexLock lock(mutex_);
      --tickets_;
      if (waiting_ == 0) return;
      take_last(task);
    }
    run_counted(task);
  }

  // Runs the task that was added last, whose memory is the warmest. False: none waits.
  bool run_one() {
    Task task;
    bool ticket_is_spent = false;
    {
      const MutexLock lock(mutex_);
      if (waiting_ == 0) return false;
      take_last(task);
      ticket_is_spent = tickets_ > waiting_;
    }
    if (ticket_is_spent) pool_.count_spent_task();
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
  void take_last(Task& task) EVPOOL_REQUIRES(mutex_) {
    task = std::move(tasks_[--waiting_]);
    ++running_;
  }

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

  ThreadPool& pool_;          // not used once the group is gone, and with it every task
  const bool pool_was_mine_;  // when the group was made

  Mutex mutex_;
  std::array<Task, kWaitingTasks> tasks_ EVPOOL_GUARDED_BY(mutex_);
  std::size_t waiting_ EVPOOL_GUARDED_BY(mutex_) = 0;
  std::size_t running_ EVPOOL_GUARDED_BY(mutex_) = 0;
  std::size_t tickets_ EVPOOL_GUARDED_BY(mutex_) = 0;  // in the pool, and not run yet
  bool sleeping_ EVPOOL_GUARDED_BY(mutex_) = false;    // in wait(), and not called yet
  std::exception_ptr first_exception_ EVPOOL_GUARDED_BY(mutex_);
  FutexWord calls_{0};
};

// What the pool gets, as many as tasks of the group wait: leave to run one of them, if one still
// waits then. A task that wait() runs leaves its ticket in the pool; the group's next task uses it,
// or the pool drops it when it needs the place.
class TaskGroup::Ticket {
 public:
  explicit Ticket(std::shared_ptr<State> state) : state_(std::move(state)) {}
  void operator()() { state_->run_for_ticket(); }
  void discard() noexcept { state_->drop_ticket(); }
  bool retire() noexcept { return state_->retire_ticket(); }

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
  switch (state_->add(task)) {
    case State::Added::no:
      state_->run(task);
      break;
    case State::Added::with_ticket:
      break;
    case State::Added::wants_ticket:
      // Refused, no worker will come for the task: wait() runs it.
      if (pool_.try_add(Ticket(state_), priority_) != AddResult::added) state_->drop_ticket();
      break;
  }
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
