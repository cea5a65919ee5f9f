// Waiting on a 32-bit word in the kernel, which neither libstdc++'s semaphores nor glibc's
// condition variables do without known lost wake-ups (GCC bug 104928, glibc bug 25847).
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>

namespace evpool {

using FutexWord = std::atomic<std::uint32_t>;
static_assert(sizeof(FutexWord) == 4 && FutexWord::is_always_lock_free);

using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline kNoDeadline = Deadline::max();

// Sleeps while `word` holds `expected`. May return early for no reason: call it in a loop. False
// once the deadline has passed.
inline bool futex_wait(FutexWord& word, std::uint32_t expected, Deadline deadline = kNoDeadline) {
  timespec until{};
  const timespec* timeout = nullptr;
  if (deadline != kNoDeadline) {
    // std::chrono::steady_clock is CLOCK_MONOTONIC, which FUTEX_WAIT_BITSET counts in.
    const auto since_epoch = deadline.time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
    if (seconds.count() < 0) return false;
    until.tv_sec = seconds.count();
    until.tv_nsec = std::chrono::nanoseconds(since_epoch - seconds).count();
    timeout = &until;
  }
  const long result = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, timeout,
                              nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 || errno != ETIMEDOUT;
}

inline void futex_wake(FutexWord& word, std::uint32_t threads) {
  const int count = threads > INT_MAX ? INT_MAX : static_cast<int>(threads);
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count);
}
inline void futex_wake_all(FutexWord& word) { futex_wake(word, INT_MAX); }

}  // namespace evpool
