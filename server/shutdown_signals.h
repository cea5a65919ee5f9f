// SIGTERM and SIGINT, taken by a thread of their own: the first one calls a function, the second
// one ends the process at once.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace evpool {

// Blocks both signals for this thread and all that it starts later, so that only ShutdownSignals
// takes them. Call it before any other thread is started.
void block_shutdown_signals();

// One at a time in a process. REQUIRES: block_shutdown_signals() was called first.
class ShutdownSignals {
 public:
  // Starts to wait; a signal that came before counts. `on_first` is called on the waiting thread.
  // Throws std::system_error.
  explicit ShutdownSignals(std::function<void()> on_first);
  // Ends the thread: `on_first` is not called any more. The signals stay blocked.
  ~ShutdownSignals();
  ShutdownSignals(const ShutdownSignals&) = delete;
  ShutdownSignals& operator=(const ShutdownSignals&) = delete;

 private:
  void wait();

  const std::function<void()> on_first_;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace evpool
