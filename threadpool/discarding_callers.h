// The threads that are discarding a pool's tasks without being its workers: whoever ends the pool
// waits for them too, so that no discard hook runs and nothing is counted after its end.
#pragma once

#include <cstdint>

#include "threadpool/futex.h"
#include "threadpool/thread_scope.h"

namespace evpool {

class DiscardingCallers {
 public:
  // This thread is one of them while it lives.
  class Entry {
   public:
    explicit Entry(DiscardingCallers& callers) : callers_(callers), scope_(callers) {
      callers_.inside_.fetch_add(1);
    }
    ~Entry() {
      if (callers_.inside_.fetch_sub(1) == 1) futex_wake_all(callers_.inside_);
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    DiscardingCallers& callers_;
    const ThreadScope<DiscardingCallers> scope_;
  };

  // False: the deadline passed first. In a discard hook of this pool it does not wait: not for
  // itself, and not for another thread, which may be waiting in a hook as well.
  bool wait_until_none(Deadline deadline) {
    if (ThreadScope<DiscardingCallers>::holds(*this)) return true;
    for (std::uint32_t inside = inside_.load(); inside > 0; inside = inside_.load()) {
      if (!futex_wait(inside_, inside, deadline) && inside_.load() > 0) return false;
    }
    return true;
  }

 private:
  FutexWord inside_{0};
};

}  // namespace evpool
