// Counts another process's system calls, with the kernel's own counter of them. While one lives
// every system call on the machine takes a little longer, so nothing is timed then. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace evpool::bench {

class SystemCallCounter {
 public:
  // Of the threads that `process` has now, and of those that they start.
  explicit SystemCallCounter(pid_t process);
  ~SystemCallCounter();
  SystemCallCounter(const SystemCallCounter&) = delete;
  SystemCallCounter& operator=(const SystemCallCounter&) = delete;

  // Since the construction. None: the kernel does not say, for want of a mounted tracefs or of
  // permission.
  [[nodiscard]] std::optional<std::uint64_t> count() const;

 private:
  std::vector<int> counters_;  // one a thread; none: it can't be counted
};

}  // namespace evpool::bench
