// Counts the tasks of a pool that came to be of no use while they waited: a future's that was
// cancelled, a group's ticket whose task somebody else ran. The count only grows. A full queue
// compares it with what it was at its last sweep: so looking for such tasks costs nothing while
// there are none.
//
// Any thread may call anything. Shared by the pool and its futures, which may outlive it.
#pragma once

#include <atomic>
#include <cstdint>

namespace evpool {

class SpentTasks {
 public:
  // After the task says so itself (Task::retire).
  void count_one() { count_.fetch_add(1); }
  [[nodiscard]] std::uint64_t counted() const { return count_.load(); }

 private:
  alignas(64) std::atomic<std::uint64_t> count_{0};
};

}  // namespace evpool
