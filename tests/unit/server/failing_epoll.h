// Makes the kernel's side of a loop fail, for the whole test program.
#pragma once

namespace evpool {

// While it lives, epoll_ctl fails with this error.
class FailingEpollCtl {
 public:
  explicit FailingEpollCtl(int error);
  ~FailingEpollCtl();
  FailingEpollCtl(const FailingEpollCtl&) = delete;
  FailingEpollCtl& operator=(const FailingEpollCtl&) = delete;
};

// While it lives, the next call of epoll_wait fails with this error, once.
class FailingEpollWait {
 public:
  explicit FailingEpollWait(int error);
  ~FailingEpollWait();
  FailingEpollWait(const FailingEpollWait&) = delete;
  FailingEpollWait& operator=(const FailingEpollWait&) = delete;
};

}  // namespace evpool
