// What a server says: formatted, handed to the sink of its options. Thread-safe if the sink is. A
// line for which there is no memory, or at which the sink throws, is lost: nothing hangs on it.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "server/server.h"

namespace evpool {

class Log {
 public:
  using Sink = std::function<void(LogLevel, std::string_view)>;

  explicit Log(Sink sink) : sink_(std::move(sink)) {}

  template <typename... Arguments>
  void operator()(LogLevel level, fmt::format_string<Arguments...> format,
                  Arguments&&... arguments) const noexcept {
    if (!sink_) return;
    try {
      sink_(level, fmt::format(format, std::forward<Arguments>(arguments)...));
    } catch (...) {
    }
  }

 private:
  const Sink sink_;
};

// Lets one line a second through and counts the rest. Used by one thread.
class LineLimit {
 public:
  // Whether to write now; then `suppressed()` lines were not written since the last one.
  [[nodiscard]] bool allow() {
    const Clock::time_point now = Clock::now();
    if (now < next_) {
      ++pending_;
      return false;
    }
    next_ = now + std::chrono::seconds(1);
    suppressed_ = std::exchange(pending_, 0);
    return true;
  }
  [[nodiscard]] std::uint64_t suppressed() const { return suppressed_; }

 private:
  Clock::time_point next_{};
  std::uint64_t pending_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace evpool
