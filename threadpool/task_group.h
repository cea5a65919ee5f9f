// Tasks that belong together: add them, then wait for them all.
//
//   evpool::TaskGroup group(*pool);
//   group.add([&] { left = sum(first, middle); });
//   group.add([&] { right = sum(middle, last); });
//   group.wait();
//
// wait() runs what no worker has started yet itself, waits for what is running, and runs what that
// adds. It runs nothing but the group's own tasks: so it may be called in a task, and nested,
// without the stack growing by strangers' tasks, and it never waits for a task that no thread has
// begun. That is why a worker may wait for a group of its own pool.
//
// Threads: add may be called from any thread, also from the group's tasks; wait and the destructor
// from one at a time, and not from the group's tasks, which they would wait for. The pool must
// outlive the group.
//
// Bounded: up to kWaitingTasks wait in the group; one more is run by add itself. A full, draining
// or stopped pool refuses no task of a group: wait runs them all if need be. In the pool's queue
// the group has a ticket for each task that waits. A ticket whose task wait has run serves the
// group's next task, or gives way to whoever finds the queue full; so does each that outlives its
// group.
//
// After fork(), in the child, the group's tasks are the parent's: wait runs none, add and wait
// throw std::system_error, resource_deadlock_would_occur, and the destructor does nothing.
#pragma once

#include <cstddef>
#include <memory>

#include "thread_pool.h"

namespace evpool {

class TaskGroup {
 public:
  static constexpr std::size_t kWaitingTasks = 16;

  // Throws std::bad_alloc.
  explicit TaskGroup(ThreadPool& pool, TaskPriority priority = TaskPriority::normal);
  // As wait(), but drops an exception. REQUIRES: not in one of the group's own tasks.
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  void add(Task&& task);

  // Until none of the group's tasks waits or runs. Rethrows the first exception that one of them
  // threw since the last wait; the others go on in any case. In one of the group's own tasks it
  // runs what waits, and then throws std::system_error, resource_deadlock_would_occur.
  void wait();

 private:
  class State;
  class Ticket;

  ThreadPool& pool_;
  const TaskPriority priority_;
  const std::shared_ptr<State> state_;  // with the tickets, which may outlive the group
};

}  // namespace evpool
