// The threads that are discarding a pool's tasks without being its workers: whoever ends the pool
// waits for them too, so that no discard hook runs and nothing is counted after its end.
#pragma once

#include <cstdint>

#include "threadpool/futex.h"

namespace evpool {

class DiscardingCallers {
 public:
  // This thread is one of them while it lives.
  class Entry {
   public:
    explicit Entry(DiscardingCallers& callers) : callers_(callers), outer_(innermost_) {
      innermost_ = this;
      callers_.inside_.fetch_add(1);
    }
    ~Entry() {
      innermost_ = outer_;
      if (callers_.inside_.fetch_sub(1) == 1) futex_wake_all(callers_.inside_);
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    friend class DiscardingCallers;
    DiscardingCallers& callers_;
    Entry* const outer_;  // this thread's, of the hook that it is in
  };

  // False: the deadline passed first. In a discard hook of this pool it does not wait: not for
  // itself, and not for another thread, which may be waiting in a hook as well.
  bool wait_until_none(Deadline deadline) {
    if (has_this_thread()) return true;
    for (std::uint32_t inside = inside_.load(); inside > 0; inside = inside_.load()) {
      if (!futex_wait(inside_, inside, deadline) && inside_.load() > 0) return false;
    }
    return true;
  }

 private:
  [[nodiscard]] bool has_this_thread() const {
    for (const Entry* entry = innermost_; entry != nullptr; entry = entry->outer_) {
      if (&entry->callers_ == this) return true;
    }
    return false;
  }

  static inline thread_local Entry* innermost_ = nullptr;
  FutexWord inside_{0};
};

}  // namespace evpool
