#include "threadpool/task_group.h"

#include <array>
#include <exception>
#include <utility>

#include "threadpool/futex.h"
#include "threadpool/mutex.h"

namespace evpool {

class TaskGroup::State {
 public:
  // False, and the task stays: as many wait as may.
  bool add(Task& task) {
    const MutexLock lock(mutex_);
    if (waiting_ == tasks_.size()) return false;
    tasks_[waiting_++] = std::move(task);
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

  // Lets the thread that sleeps in wait(), if one does, look again: something may be there to run.
  void call_waiter() {
    {
      const MutexLock lock(mutex_);
      if (sleepers_ == 0) return;
      changes_.fetch_add(1);
    }
    futex_wake_all(changes_);
  }

  void wait() {
    for (;;) {
      while (run_one()) {
      }
      std::uint32_t changes = 0;
      {
        const MutexLock lock(mutex_);
        if (waiting_ > 0) continue;
        if (running_ == 0) return;
        changes = changes_.load();
        ++sleepers_;
      }
      futex_wait(changes_, changes);
      const MutexLock lock(mutex_);
      --sleepers_;
    }
  }

  std::exception_ptr take_exception() {
    const MutexLock lock(mutex_);
    return std::exchange(first_exception_, nullptr);
  }

 private:
  void run_counted(Task& task) noexcept {
    try {
      task.run();
    } catch (...) {
      const MutexLock lock(mutex_);
      if (first_exception_ == nullptr) first_exception_ = std::current_exception();
    }
    task.reset();
    bool last = false;
    {
      const MutexLock lock(mutex_);
      last = --running_ == 0 && sleepers_ > 0;
    }
    if (last) call_waiter();
  }

  Mutex mutex_;
  std::array<Task, kWaitingTasks> tasks_ EVPOOL_GUARDED_BY(mutex_);
  std::size_t waiting_ EVPOOL_GUARDED_BY(mutex_) = 0;
  std::size_t running_ EVPOOL_GUARDED_BY(mutex_) = 0;
  std::size_t sleepers_ EVPOOL_GUARDED_BY(mutex_) = 0;
  std::exception_ptr first_exception_ EVPOOL_GUARDED_BY(mutex_);
  FutexWord changes_{0};  // counts what a thread that waits must wake up for
};

// What the pool gets for each task of the group: leave to run one of them, if one still waits.
class TaskGroup::Ticket {
 public:
  explicit Ticket(std::shared_ptr<State> state) : state_(std::move(state)) {}
  void operator()() { state_->run_one(); }
  void discard() noexcept { state_->call_waiter(); }

 private:
  std::shared_ptr<State> state_;
};

TaskGroup::TaskGroup(ThreadPool& pool, TaskPriority priority)
    : pool_(pool), priority_(priority), state_(std::make_shared<State>()) {}

TaskGroup::~TaskGroup() { state_->wait(); }

void TaskGroup::add(Task&& task) {
  if (!state_->add(task)) {
    state_->run(task);
    return;
  }
  const AddResult ticket = pool_.try_add(Ticket(state_), priority_);
  // No worker will come for it: wait() will run it, also if it sleeps already.
  if (ticket != AddResult::added) state_->call_waiter();
}

void TaskGroup::wait() {
  state_->wait();
  if (const std::exception_ptr exception = state_->take_exception()) {
    std::rethrow_exception(exception);
  }
}

}  // namespace evpool
