// Where adders wait for room in a full ring, and how workers tell them of it.
//
// Why none waits for ever: an adder announces itself before it looks at the ring for the last time;
// a worker advances the ring's head before it looks for announcements; all are sequentially
// consistent, so of the two at least one sees the other. Workers tell when half the rings is free,
// so that a wake-up is for many tasks and not for one; as long as an adder sleeps and nobody else
// adds, they come to that, and where others do, an adder looks again by itself.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "threadpool/futex.h"
#include "threadpool/task_queues.h"
#include "threadpool/task_ring.h"
#include "threadpool/yield_point.h"

namespace evpool {

class RoomSignal {
 public:
  // For an adder that `ring` has refused: returns when it may try again, at the latest at the
  // deadline.
  void wait(const TaskRing& ring, Deadline deadline) {
    waiting_.fetch_add(1);
    const std::uint32_t told = told_.load();
    yield_point();
    // A close may have been told of before told_ was read: that must not be slept on.
    if (ring.full() && !ring.closed()) {
      futex_wait(told_, told, std::min(deadline, Deadline::clock::now() + kLongestSleep));
    } else {
      sched_yield();  // a worker is between its claim and giving the cell back
    }
    waiting_.fetch_sub(1);
  }

  // By a worker that has taken a task.
  void tell_of_room(const TaskQueues& queues) {
    if (waiting_.load() > 0 && queues.has_half_free()) tell();
  }
  // After the rings were closed, too.
  void tell() {
    told_.fetch_add(1);
    futex_wake_all(told_);
  }

 private:
  static constexpr std::chrono::milliseconds kLongestSleep{1};

  std::atomic<std::uint32_t> waiting_{0};
  FutexWord told_{0};
};

}  // namespace evpool
