#include "server/event_loop.h"

#include <event2/thread.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "server/libevent_log.h"

namespace evpool {
namespace {

// libevent ends the process when it finds no descriptors for a base's signal socket pair, so what a
// base needs is asked for before: for epoll, a timer, that pair and the wake-up's.
void require_descriptors() {
  constexpr std::size_t kDescriptorsOfABase = 6;
  std::array<int, kDescriptorsOfABase> taken{};
  bool enough = true;
  for (int& descriptor : taken) {
    descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    enough = enough && descriptor >= 0;
  }
  const int error = errno;
  for (const int descriptor : taken) {
    if (descriptor >= 0) close(descriptor);
  }
  if (!enough) {
    throw std::runtime_error(std::string("cannot create an event loop: ") +
                             std::strerror(error) +  // NOLINT(concurrency-mt-unsafe): glibc's is
                             " (see ulimit -n)");
  }
}

event_base* new_base() {
  // Once for the process and before its first base: it is not safe later, nor from two threads.
  static const bool threads_ready = [] {
    send_libevent_log_to_servers();
    return evthread_use_pthreads() == 0;
  }();
  if (!threads_ready) throw std::runtime_error("cannot set up libevent for threads");
  require_descriptors();
  event_base* const base = event_base_new();
  if (base == nullptr) {
    throw std::runtime_error("cannot create an event loop (out of descriptors? see ulimit -n)");
  }
  return base;
}

}  // namespace

EventLoop::EventLoop()
    : base_(new_base()),
      thread_(std::this_thread::get_id()),
      wake_up_(new_event<&EventLoop::call_posted>(-1, EV_PERSIST, this)) {}

EventLoop::~EventLoop() {
  adopt();
  const MutexLock lock(posting_);
  posted_.clear();
}

void EventLoop::adopt() { thread_.store(std::this_thread::get_id()); }

void EventLoop::assert_in_loop_thread() const {
  assert(thread_.load() == std::this_thread::get_id() && "for the loop's thread only");
}

void EventLoop::run() {
  adopt();
  if (event_base_loop(base_.get(), EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
    throw std::system_error(errno, std::generic_category(), "the event loop failed");
  }
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void EventLoop::fail(std::exception_ptr why) {
  assert_in_loop_thread();
  failure_ = std::move(why);
  exit();
}

void EventLoop::exit() { event_base_loopbreak(base_.get()); }

void EventLoop::post(std::function<void()> function) {
  bool first = false;
  {
    const MutexLock lock(posting_);
    first = posted_.empty();
    posted_.push_back(std::move(function));
  }
  if (first) event_active(wake_up_.get(), 0, 0);
}

UniqueEvent EventLoop::new_event(int descriptor, short flags, event_callback_fn callback,
                                 void* argument) const {
  UniqueEvent made(event_new(base_.get(), descriptor, flags, callback, argument));
  if (!made) throw std::runtime_error("cannot create an event (out of memory)");
  return made;
}

bool EventLoop::watch(event& descriptor_event) {
  return event_add(&descriptor_event, nullptr) == 0;
}

void EventLoop::arm(event& timer, std::chrono::milliseconds delay) {
  const timeval interval = {.tv_sec = delay.count() / 1000, .tv_usec = delay.count() % 1000 * 1000};
  if (event_add(&timer, &interval) != 0) throw std::bad_alloc();
}

void EventLoop::call_posted() {
  std::vector<std::function<void()>> functions;
  {
    const MutexLock lock(posting_);
    functions.swap(posted_);
  }
  for (const auto& function : functions) function();
}

}  // namespace evpool
