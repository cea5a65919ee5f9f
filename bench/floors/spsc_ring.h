// A bounded ring between one producer thread and one consumer thread. A slot belongs to the
// producer from claim() to publish(), to the consumer from front() to pop(), and is reused as it
// is. Who finds nothing to do sleeps in the kernel, and is woken only if it does.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace evpool::bench {

template <typename Slot, std::uint32_t kSlots>
class SpscRing {
  static_assert(kSlots > 0 && (kSlots & (kSlots - 1)) == 0, "a power of two");

 public:
  SpscRing() : slots_(kSlots) {}

  // The producer's. Waits while the ring is full; the same slot again until it is published.
  [[nodiscard]] Slot& claim() {
    const std::uint32_t at = published_.index.load(std::memory_order_relaxed);
    wait_while(popped_, at - kSlots);
    return slots_[at % kSlots];
  }
  void publish() { advance(published_); }

  // The consumer's. Waits while the ring is empty; the same slot again until it is popped.
  [[nodiscard]] Slot& front() {
    const std::uint32_t at = popped_.index.load(std::memory_order_relaxed);
    wait_while(published_, at);
    return slots_[at % kSlots];
  }
  void pop() { advance(popped_); }

 private:
  struct alignas(64) Side {               // a cache line for each
    std::atomic<std::uint32_t> index{0};  // counts up, and wraps
    std::atomic<bool> awaited{false};     // the other side sleeps until index changes
  };

  static void wait_while(Side& side, std::uint32_t index) {
    // Acquire: the slot's contents come with the index.
    while (side.index.load(std::memory_order_acquire) == index) {
      // Sequentially consistent, as in advance(): of "I sleep" and "the index changed" at least one
      // is seen by the other thread.
      side.awaited.store(true);
      if (side.index.load() == index) {
        syscall(SYS_futex, &side.index, FUTEX_WAIT_PRIVATE, index, nullptr, nullptr, 0);
      }
      side.awaited.store(false, std::memory_order_relaxed);
    }
  }

  static void advance(Side& side) {
    side.index.store(side.index.load(std::memory_order_relaxed) + 1);
    if (side.awaited.load()) {
      syscall(SYS_futex, &side.index, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
  }

  std::vector<Slot> slots_;
  Side published_;
  Side popped_;
};

}  // namespace evpool::bench
