// A job that this server can do, and how long it takes.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/handlers.h"

namespace evpool {

// Any thread. What it refers to belongs to the server's handlers.
class JobKind {
 public:
  JobKind(std::string_view name, const Handler& handler) : name_(name), handler_(&handler) {}

  [[nodiscard]] std::string_view name() const { return name_; }
  [[nodiscard]] const Handler& handler() const { return *handler_; }

  // Whether to hand over several at once: they take less than waking another worker for them would.
  // What is new is not brief until that has been seen; what is only sometimes long is not brief
  // either, unless it is so rarely that it makes no difference to the mean.
  [[nodiscard]] bool brief() const {
    return mean_ns_.load(std::memory_order_relaxed) < kBriefNs;  // a hint; nothing hangs on it
  }

  // Takes account of `runs` that took `total` together.
  void count_runs(std::size_t runs, std::chrono::nanoseconds total) {
    const double mean = mean_ns_.load(std::memory_order_relaxed);
    const double seen = static_cast<double>(total.count()) / static_cast<double>(runs);
    const double weight = std::min(1.0, static_cast<double>(runs) / kSmoothingRuns);
    // Two threads at once may lose one's share, which the mean can do without.
    mean_ns_.store(mean + (seen - mean) * weight, std::memory_order_relaxed);
  }

 private:
  // Waking a worker and answering on its own cost about this much.
  static constexpr double kBriefNs = 5'000;
  // One run in a hundred that takes 5 ms must not be forgotten before the next one comes.
  static constexpr double kSmoothingRuns = 256;

  const std::string_view name_;
  const Handler* const handler_;
  std::atomic<double> mean_ns_{2 * kBriefNs};
};

}  // namespace evpool
