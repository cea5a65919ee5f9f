// How the connections of a loop share it. One turn is work, not bytes: a few bytes can ask for much
// (pings, empty lines, unknown jobs), so a turn ends by requests and by time, too.
//
// A connection whose turn ended before its input did has its next one from the TurnQueue, in the
// loop's next round. Those together have a bounded time of each round, however many they are: who
// sends a little is served in between. The loop's thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>

#include "server/event_loop.h"
#include "server/request.h"

namespace evpool {

class Connection;

// What is left of one turn.
class TurnBudget {
 public:
  // More than a connection has in flight that keeps a server busy; as many brief requests take
  // about a third of kMaxTime.
  static constexpr std::size_t kMaxRequests = 1024;
  // A full receive buffer, four times.
  static constexpr std::size_t kMaxBytes = std::size_t{256} << 10U;
  static constexpr std::chrono::microseconds kMaxTime{200};

  void count_received(std::size_t bytes) {
    bytes_ += bytes;
    if (bytes_ >= kMaxBytes) spent_ = true;
  }
  // Looks at the limits at every 64th request only: most turns are shorter.
  void count_request() {
    if (++requests_ % kRequestsPerLook == 0) look();
  }
  [[nodiscard]] bool spent() const { return spent_; }

 private:
  static constexpr std::size_t kRequestsPerLook = 64;
  static_assert(kMaxRequests % kRequestsPerLook == 0);

  void look() {
    const Clock::time_point now = Clock::now();
    if (requests_ == kRequestsPerLook) first_look_ = now;
    if (requests_ >= kMaxRequests || now - first_look_ >= kMaxTime) spent_ = true;
  }

  std::size_t requests_ = 0;
  std::size_t bytes_ = 0;
  bool spent_ = false;
  Clock::time_point first_look_{};
};

class TurnQueue {
 public:
  // In each round of the loop, for all that wait together.
  static constexpr std::chrono::milliseconds kMaxTimeInRound{1};

  // `loop` must outlive this. Throws std::runtime_error.
  explicit TurnQueue(EventLoop& loop);
  TurnQueue(const TurnQueue&) = delete;
  TurnQueue& operator=(const TurnQueue&) = delete;

  // Gives the connection a turn in one of the next rounds. Throws std::bad_alloc.
  void wait(std::shared_ptr<Connection> connection);

 private:
  void give_turns();

  const UniqueEvent next_round_;
  std::deque<std::shared_ptr<Connection>> waiting_;
};

}  // namespace evpool
