// Counts Ctrl-C, and what asks for the same: SIGTERM, and SIGHUP when a terminal is closed, unless
// that one is ignored (nohup). Any thread may read the count.
#pragma once

#include <signal.h>

#include <array>
#include <atomic>

namespace evpool::bench {

// While it lives, they are counted. One at a time in a process.
class Interrupts {
 public:
  enum class Second : bool {
    is_counted,
    ends_the_process,  // as it does without one of these
  };

  // In `count`, which must outlive it.
  Interrupts(std::atomic<int>& count, Second second);
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

 private:
  static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace evpool::bench
