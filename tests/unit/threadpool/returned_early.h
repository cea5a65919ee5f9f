// Whether what has to wait does.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

namespace evpool {

// Gives a wait that does not wait the time to return. True: it did.
inline bool returned_early(const std::atomic<bool>& returned) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
  while (!returned.load() && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
  return returned.load();
}

}  // namespace evpool
