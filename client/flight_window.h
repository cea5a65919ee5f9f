// How many requests to have in flight, when nobody knows how long a job takes nor how many workers
// the server has.
//
// Too few leave the server idle. Too many wait behind each other for longer than the timeout, and
// the server drops them. So the window starts small. It doubles each time that a whole window of
// replies has come back without much of a wait, and is halved when a reply had to wait for half the
// timeout. The wait is what a request spent in flight beyond the shortest time seen; that shortest
// time is taken anew whenever a request was alone in flight, for then it is the job's own.
//
// As with TCP's congestion window, a reply to a request that was sent before the last change says
// nothing of the present window, and is not counted. Pure: the times are its user's. One thread.
#pragma once

#include <chrono>
#include <cstddef>

namespace evpool {

class FlightWindow {
 public:
  using Clock = std::chrono::steady_clock;

  // Enough to keep a server busy with brief jobs, and far from its bounds.
  static constexpr std::size_t kMost = 256;
  static constexpr std::size_t kFirst = 2;

  explicit FlightWindow(Clock::duration timeout) : timeout_(timeout) {}

  // At least 1.
  [[nodiscard]] std::size_t size() const { return size_; }

  // A reply was received to a request that was sent then.
  void replied(Clock::time_point sent, Clock::time_point received);

  // A request that was sent then was not served in time, or the server had no room for it.
  void too_late(Clock::time_point sent, Clock::time_point now);

 private:
  void change(std::size_t size, Clock::time_point now);

  const Clock::duration timeout_;
  std::size_t size_ = kFirst;
  Clock::time_point changed_at_;  // size_
  std::size_t prompt_ = 0;        // replies since then that hardly waited
  Clock::duration shortest_ = Clock::duration::max();
};

}  // namespace evpool
