// A thread that polls sockets and can be told to end: what the tests' servers run on.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <thread>
#include <utility>

#include "tests/unit/client/fake_server.h"

namespace evpool {

// Declared after all that the thread uses, it ends before that does.
class StoppableThread {
 public:
  StoppableThread() : stop_(::eventfd(0, EFD_CLOEXEC)) {
    BoundSocket::check(stop_.get(), "eventfd");
  }
  ~StoppableThread() { stop(); }
  StoppableThread(const StoppableThread&) = delete;
  StoppableThread& operator=(const StoppableThread&) = delete;

  void start(std::function<void()> body) { thread_ = std::thread(std::move(body)); }
  // For the body's poll(): readable once it is to end.
  [[nodiscard]] pollfd end() const { return {.fd = stop_.get(), .events = POLLIN, .revents = 0}; }
  // Waits until it has ended.
  void stop() {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    BoundSocket::check(::write(stop_.get(), &one, sizeof(one)), "write");
    thread_.join();
  }

 private:
  const Descriptor stop_;
  std::thread thread_;
};

}  // namespace evpool
