#include "tests/unit/server/failing_epoll.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace {

std::atomic<int> ctl_error{0};
std::atomic<int> wait_error{0};

}  // namespace

// Instead of the library's, for this program and all it is linked with.
extern "C" {

int epoll_ctl(int epoll, int operation, int descriptor, epoll_event* event) noexcept {
  if (const int error = ctl_error.load(); error != 0 && operation != EPOLL_CTL_DEL) {
    errno = error;
    return -1;
  }
  return static_cast<int>(syscall(SYS_epoll_ctl, epoll, operation, descriptor, event));
}

int epoll_wait(int epoll, epoll_event* events, int capacity, int timeout_ms) {
  if (const int error = wait_error.exchange(0); error != 0) {
    errno = error;
    return -1;
  }
  constexpr std::size_t kNoMask = 8;
  return static_cast<int>(
      syscall(SYS_epoll_pwait, epoll, events, capacity, timeout_ms, nullptr, kNoMask));
}
}

namespace evpool {

FailingEpollCtl::FailingEpollCtl(int error) { ctl_error.store(error); }
FailingEpollCtl::~FailingEpollCtl() { ctl_error.store(0); }

FailingEpollWait::FailingEpollWait(int error) { wait_error.store(error); }
FailingEpollWait::~FailingEpollWait() { wait_error.store(0); }

}  // namespace evpool
