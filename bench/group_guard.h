// Ends a group of processes when this process ends, whatever the reason: SIGKILL, too, of which
// nobody here would hear. PR_SET_PDEATHSIG reaches a child only, not what that child has started.
// One thread.
#pragma once

#include <sys/types.h>

namespace evpool::bench {

class GroupGuard {
 public:
  // Throws std::system_error.
  explicit GroupGuard(pid_t group);
  // Lets the group be.
  ~GroupGuard();
  GroupGuard(const GroupGuard&) = delete;
  GroupGuard& operator=(const GroupGuard&) = delete;

 private:
  int alive_ = -1;  // the end of a pipe that only this process has; the kernel closes it
  pid_t watcher_ = -1;
};

}  // namespace evpool::bench
