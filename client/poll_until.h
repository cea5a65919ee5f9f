// poll() with an absolute deadline. Thread-safe.
#pragma once

#include <poll.h>

#include <chrono>
#include <span>

namespace evpool {

// As poll(), until `deadline`; it may return 0 before, so look at the clock.
int poll_until(std::span<pollfd> waiting, std::chrono::steady_clock::time_point deadline);
inline int poll_until(pollfd& waiting, std::chrono::steady_clock::time_point deadline) {
  return poll_until(std::span(&waiting, 1), deadline);
}

}  // namespace evpool
