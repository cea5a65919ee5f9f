// A libevent base and the one thread that runs it, the I/O thread.
//
// The thread that constructs a loop is its thread until another one calls adopt() or run(). Only
// post() and exit() may be called from elsewhere. Everything made on base() must be gone before the
// loop is.
#pragma once

#include <event2/event.h>

#include <atomic>
#include <chrono>
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

  // Runs until exit().
  void run();
  void exit();

  // Has the loop's thread call `function` soon; from any thread. What has not been called when the
  // loop is destroyed is destroyed uncalled.
  void post(std::function<void()> function);

  // Throws std::runtime_error. `flags` as for event_new; the event is not added yet.
  [[nodiscard]] UniqueEvent new_event(int descriptor, short flags, event_callback_fn callback,
                                      void* argument) const;
  // (Re)arms a timer made by new_event(-1, 0 or EV_PERSIST, ...).
  static void arm(event& timer, std::chrono::milliseconds delay);

 private:
  struct BaseDeleter {
    void operator()(event_base* base) const { event_base_free(base); }
  };

  void call_posted();

  const std::unique_ptr<event_base, BaseDeleter> base_;
  std::atomic<std::thread::id> thread_;
  UniqueEvent wake_up_;

  Mutex posting_;
  std::vector<std::function<void()>> posted_ EVPOOL_GUARDED_BY(posting_);
};

}  // namespace evpool
