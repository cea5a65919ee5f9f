// A libevent base and the one thread that runs it, the I/O thread.
//
// The thread that constructs a loop is its thread until another one calls adopt() or run(). Only
// post() and exit() may be called from elsewhere. Everything made on base() must be gone before the
// loop is.
#pragma once

#include <event2/event.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "threadpool/mutex.h"

namespace evpool {

struct EventDeleter {
  void operator()(event* event) const { event_free(event); }
};
using UniqueEvent = std::unique_ptr<event, EventDeleter>;

class EventLoop {
 public:
  // Throws std::runtime_error.
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  [[nodiscard]] event_base* base() const { return base_.get(); }

  // This thread is the loop's thread from now on. REQUIRES: run() is not under way.
  void adopt();
  void assert_in_loop_thread() const;

  // Runs until exit(). Throws std::system_error when the kernel's side of the loop fails, or what
  // fail() was given.
  void run();
  void exit();
  // The loop's thread, in a callback: has run() end and throw this.
  void fail(std::exception_ptr why);

  // Has the loop's thread call `function` soon; from any thread. What has not been called when the
  // loop is destroyed is destroyed uncalled. Throws std::bad_alloc; what must happen without memory
  // has an event of its own, see call().
  void post(std::function<void()> function);

  // Throws std::runtime_error. `flags` as for event_new; the event is not added yet.
  [[nodiscard]] UniqueEvent new_event(int descriptor, short flags, event_callback_fn callback,
                                      void* argument) const;
  // The same, calling a method of the owner, which must outlive the event:
  // new_event<&Owner::method>(-1, EV_PERSIST, this).
  template <auto kMethod, typename Owner>
  [[nodiscard]] UniqueEvent new_event(int descriptor, short flags, Owner* owner) const {
    return new_event(
        descriptor, flags,
        [](int, short, void* argument) {
          static_cast<void>((static_cast<Owner*>(argument)->*kMethod)());
        },
        owner);
  }

  // Begins to wait for an event that new_event made of a descriptor; again is no change. False, and
  // errno says why, if the kernel refuses: then nothing will ever be heard of the descriptor.
  [[nodiscard]] static bool watch(event& descriptor_event);
  // Has the loop's thread call back an event made by new_event(-1, EV_PERSIST, ...) soon; from any
  // thread. Several times at once may be one. Needs no memory.
  static void call(event& made) { event_active(&made, 0, 0); }
  // (Re)arms a timer made by new_event(-1, 0 or EV_PERSIST, ...). Throws std::bad_alloc.
  static void arm(event& timer, std::chrono::milliseconds delay);

 private:
  struct BaseDeleter {
    void operator()(event_base* base) const { event_base_free(base); }
  };

  void call_posted();

  const std::unique_ptr<event_base, BaseDeleter> base_;
  std::atomic<std::thread::id> thread_;
  UniqueEvent wake_up_;
  std::exception_ptr failure_;  // the loop's thread only

  Mutex posting_;
  std::vector<std::function<void()>> posted_ EVPOOL_GUARDED_BY(posting_);
};

}  // namespace evpool
