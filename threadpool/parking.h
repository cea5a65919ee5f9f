// Where workers without work sleep, and who wakes them: the pool's protocol against lost wake-ups.
//
// A worker is running (in a task, or sure of one), searching, or parked. All that matters of this
// is one word, searchers and sleepers, so that every step is one atomic operation and all steps
// have one order. The rules:
//
//   An adder puts its task into a queue, then calls wake_one(): that wakes a sleeper if there is
//   one and nobody is searching. The woken worker counts as searching from that moment on, so that
//   a burst of adders wakes one worker and not one each.
//
//   A worker that finds nothing searches. When it finds a task it calls end_search(), and if it was
//   the last searcher it looks at the queues again and wakes the next: what adders left to it while
//   it searched is not forgotten.
//
//   A searcher that finds nothing calls announce_sleep(), looks at the queues once more, and then
//   sleeps, or takes the announcement back.
//
// Why no wake-up is lost. A queue's tail is advanced before wake_one() reads the word; a searcher
// changes the word before it looks at the queues for the last time; all four are sequentially
// consistent. So of adder and searcher at least one sees the other: either the searcher sees the
// task, or the adder sees that the searcher no longer searches. tests/unit/threadpool/
// parking_model_test.cc goes through every interleaving of these steps.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "threadpool/lifo_semaphore.h"
#include "threadpool/yield_point.h"

namespace evpool {

class Parking {
 public:
  // For workers 0 to `workers` - 1. Throws std::bad_alloc.
  explicit Parking(std::size_t workers) : tokens_(workers) {}

  // After a task was added. True: a sleeper was woken.
  bool wake_one() {
    std::uint64_t state = state_.load();
    while (sleepers_of(state) > 0 && searchers_of(state) == 0) {
      if (state_.compare_exchange_weak(state, state - kOneSleeper + kOneSearcher)) {
        tokens_.release();
        return true;
      }
    }
    return false;
  }
  // After the queues were closed. How many were woken.
  std::uint32_t wake_all() {
    std::uint64_t state = state_.load();
    while (!state_.compare_exchange_weak(
        state, state + sleepers_of(state) * (kOneSearcher - kOneSleeper))) {
    }
    const auto woken = static_cast<std::uint32_t>(sleepers_of(state));
    for (std::uint32_t i = 0; i < woken; ++i) tokens_.release();
    return woken;
  }

  void begin_search() { state_.fetch_add(kOneSearcher); }

  // True: nobody searches any more and somebody sleeps, so look at the queues, and wake_one() if
  // there is more to do.
  [[nodiscard]] bool end_search() {
    const std::uint64_t before = state_.fetch_sub(kOneSearcher);
    return searchers_of(before) == 1 && sleepers_of(before) > 0;
  }
  [[nodiscard]] bool is_only_searcher() const {
    return searchers_of(state_.load(std::memory_order_relaxed)) == 1;
  }

  // From searching to sleeping. Look at the queues after it; then call take_back_sleep() or
  // sleep().
  void announce_sleep() {
    state_.fetch_add(kOneSleeper - kOneSearcher);
    yield_point();
  }
  // Searching again; false if every sleeper has been woken meanwhile, this one too: then sleep(),
  // which returns at once.
  [[nodiscard]] bool take_back_sleep() {
    std::uint64_t state = state_.load();
    while (sleepers_of(state) > 0) {
      if (state_.compare_exchange_weak(state, state - kOneSleeper + kOneSearcher)) return true;
    }
    return false;
  }
  // Returns when woken, as a searcher.
  void sleep(std::size_t worker) { tokens_.acquire(worker); }

 private:
  // One word: searchers in the low half, sleepers that nobody has woken yet in the high half.
  static constexpr std::uint64_t kOneSearcher = 1;
  static constexpr std::uint64_t kOneSleeper = std::uint64_t{1} << 32U;
  static std::uint64_t searchers_of(std::uint64_t state) { return state & (kOneSleeper - 1); }
  static std::uint64_t sleepers_of(std::uint64_t state) { return state >> 32U; }

  alignas(64) std::atomic<std::uint64_t> state_{0};
  LifoSemaphore tokens_;
};

}  // namespace evpool
