// Counts tokens; a thread that asks for one sleeps until it is given one. Of several that sleep the
// one that began last is woken first: the processors' caches still know it, and one that is needed
// rarely sleeps undisturbed. A futex would wake in the order of going to sleep; with two workers
// and one task at a time that took twice the CPU time for each task.
//
// The sleepers are a stack (Treiber, 1986) of the numbers of threads, in one word with the tokens
// and a count of all changes, so that a pop that was overtaken by others fails. There are tokens
// only while nobody sleeps.
#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "threadpool/futex.h"
#include "threadpool/yield_point.h"

namespace evpool {

class LifoSemaphore {
 public:
  static constexpr std::size_t kMaxThreads = 0xFFFE;

  // For threads 0 to `threads` - 1. Throws std::bad_alloc.
  explicit LifoSemaphore(std::size_t threads) : sleepers_(threads) {
    assert(threads <= kMaxThreads);
  }

  // Any thread. REQUIRES: never more tokens than threads.
  void release() {
    std::uint64_t state = state_.load();
    for (;;) {
      const std::uint64_t top = top_of(state);
      if (top == 0) {
        if (state_.compare_exchange_weak(state, state + kOneToken)) return;
        continue;
      }
      Sleeper& sleeper = sleepers_[top - 1];
      // Of no meaning if the sleeper is not the top any more; the exchange fails then.
      const std::uint64_t below = sleeper.below.load(std::memory_order_relaxed);
      yield_point();
      if (!state_.compare_exchange_weak(state, changed(state, below))) continue;
      sleeper.woken.store(1);
      futex_wake(sleeper.woken, 1);
      return;
    }
  }

  // Thread `number` only.
  void acquire(std::size_t number) {
    Sleeper& self = sleepers_[number];
    std::uint64_t state = state_.load();
    for (;;) {
      if (tokens_of(state) > 0) {
        if (state_.compare_exchange_weak(state, state - kOneToken)) return;
        continue;
      }
      // Published by the exchange.
      self.woken.store(0, std::memory_order_relaxed);
      self.below.store(top_of(state), std::memory_order_relaxed);
      yield_point();
      if (state_.compare_exchange_weak(state, changed(state, number + 1))) break;
    }
    // A wake-up that was meant for an earlier sleep of this thread may come late: it changes
    // nothing.
    while (self.woken.load() == 0) futex_wait(self.woken, 0);
  }

 private:
  struct alignas(64) Sleeper {
    FutexWord woken{0};
    std::atomic<std::uint64_t> below{0};  // who went to sleep before: number + 1, or 0 for nobody
  };

  // From low to high: 16 bits of tokens, 16 bits of the top's number + 1, 32 bits of changes.
  static constexpr std::uint64_t kOneToken = 1;
  static constexpr unsigned kTopShift = 16;
  static constexpr unsigned kChangesShift = 32;
  static std::uint64_t tokens_of(std::uint64_t state) { return state & 0xFFFFU; }
  static std::uint64_t top_of(std::uint64_t state) { return state >> kTopShift & 0xFFFFU; }
  static std::uint64_t changed(std::uint64_t state, std::uint64_t top) {
    return ((state >> kChangesShift) + 1) << kChangesShift | top << kTopShift | tokens_of(state);
  }

  alignas(64) std::atomic<std::uint64_t> state_{0};
  std::vector<Sleeper> sleepers_;
};

}  // namespace evpool
