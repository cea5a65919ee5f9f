// Writes lines to a descriptor from a thread of its own, so that nobody who logs ever waits: a pipe
// that nobody reads would otherwise hold up the I/O threads, and with them every peer.
//
// Bounded: what is not written yet has at most kMaxWaitingBytes. A line for which there is no room
// is dropped; how many were is said in their place, once there is room again. Any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>

namespace evpool {

class LogWriter {
 public:
  static constexpr std::size_t kMaxWaitingBytes = std::size_t{256} << 10U;

  // `descriptor` must stay open for as long as the process lives. Throws std::system_error.
  explicit LogWriter(int descriptor);
  // As flush(), for a second. A thread that is stuck in writing then is left behind.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Takes the line, which has its end, or counts it as dropped. Never waits for the descriptor.
  void write(std::string_view line) noexcept;

  // Waits until all lines are written, but no longer than this. Whether they are.
  bool flush(std::chrono::milliseconds timeout) noexcept;

 private:
  class State;
  // Shared with the thread, which may outlive this.
  const std::shared_ptr<State> state_;
};

}  // namespace evpool
