#pragma once

#include <chrono>
#include <thread>

namespace evpool {

// Polls, for up to ten seconds.
template <typename Condition>
bool becomes_true(const Condition& condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace evpool
