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
    run(task);
    task.reset();
    const MutexLock lock(mutex_);
    if (--running_ == 0 && waiting_ == 0) {
      quiet_.fetch_add(1);
      futex_wake_all(quiet_);
    }
    return true;
  }

  void run(Task& task) noexcept {
    try {
      task.run();
    } catch (...) {
      const MutexLock lock(mutex_);
      if (first_exception_ == nullptr) first_exception_ = std::current_exception();
    }
  }

  void wait() {
    for (;;) {
      while (run_one()) {
      }
      std::uint32_t quiet = 0;
      {
        const MutexLock lock(mutex_);
        if (waiting_ > 0) continue;
        if (running_ == 0) return;
        quiet = quiet_.load();
      }
      futex_wait(quiet_, quiet);
    }
  }

  std::exception_ptr take_exception() {
    const MutexLock lock(mutex_);
    return std::exchange(first_exception_, nullptr);
  }

 private:
  Mutex mutex_;
  std::array<Task, kWaitingTasks> tasks_ EVPOOL_GUARDED_BY(mutex_);
  std::size_t waiting_ EVPOOL_GUARDED_BY(mutex_) = 0;
  std::size_t running_ EVPOOL_GUARDED_BY(mutex_) = 0;
  std::exception_ptr first_exception_ EVPOOL_GUARDED_BY(mutex_);
  FutexWord quiet_{0};  // counts the times that the last running task ended with none waiting
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
    : pool_(pool), priority_(priority), state_(std::make_shared<State>()) {}

TaskGroup::~TaskGroup() { state_->wait(); }

void TaskGroup::add(Task&& task) {
  if (!state_->add(task)) {
    state_->run(task);
    task.reset();
    return;
  }
  // Refused: wait() will run it.
  static_cast<void>(pool_.try_add(Ticket(state_), priority_));
}

void TaskGroup::wait() {
  state_->wait();
  if (const std::exception_ptr exception = state_->take_exception()) {
    std::rethrow_exception(exception);
  }
}

}  // namespace evpool
