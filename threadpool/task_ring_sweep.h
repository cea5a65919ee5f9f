// Takes tasks that are of no use any more out of the middle of a full ring, so that they do not
// keep others out. Those that stay keep their order.
//
// How takers are kept away. A sweep sets a bit of the ring's `head_`. A taker claims by a
// compare-and-swap of `head_`, so from then on none can: it sees a position that no cell holds, and
// takes nothing, as if the oldest task's adder were not done yet. The cells from the head on, as
// far as they hold tasks, are the sweep's alone. It moves spent tasks out, moves the others towards
// the tail, and sets the head, without the bit, behind the cells that became free. Takers pay
// nothing for this, and adders only when the ring is full.
// tests/unit/threadpool/task_ring_sweep_model_test.cc goes through every interleaving.
//
// A position's time stamp stays where it is: after a sweep a sampled queue time is that of a
// neighbour.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "threadpool/task.h"
#include "threadpool/task_ring.h"
#include "threadpool/yield_point.h"

namespace evpool {

struct SweptTasks {
  std::size_t tasks = 0;  // that were moved out
  bool saw_all = false;   // no spent task can be left, but for those that became so meanwhile
};

// Moves the oldest spent tasks into `room`, empty tasks, as many as fit; the caller destroys them.
// REQUIRES: one sweep of a ring at a time.
inline SweptTasks sweep(TaskRing& ring, std::span<Task> room) {
  const std::uint64_t head = ring.head_.fetch_or(TaskRing::kSwept);
  yield_point();
  SweptTasks swept;
  std::uint64_t at = head;   // the first that was not looked at
  std::uint64_t end = head;  // behind the last that was moved out
  while (swept.tasks < room.size() && ring.holds_task(at)) {
    Task& task = ring.stored(at++);
    if (!task.retire()) continue;
    room[swept.tasks++] = std::move(task);
    end = at;
  }
  swept.saw_all = at == (ring.tail_.load() & ~TaskRing::kClosed);

  std::uint64_t to = end;
  for (std::uint64_t from = end; from > head;) {
    Task& task = ring.stored(--from);
    if (!task || from == --to) continue;
    ring.stored(to) = std::move(task);
  }
  yield_point();
  ring.head_.store(head + swept.tasks);
  ring.give_back({.tasks = swept.tasks, .position = head});
  return swept;
}

}  // namespace evpool
