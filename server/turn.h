// How the connections of a loop share it. One turn is work, not bytes: a few bytes can ask for much
// (pings, empty lines, unknown jobs), so a turn ends by requests and by time, too.
//
// If a turn ends with input left, the connection waits in the TurnQueue for the loop's next round.
// A connection whose turns are long waits there, too, once long turns have used up their time in
// this round. So long turns take a bounded time of each round, however many connections take them,
// and a peer that sends little is served in between. The loop's thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <utility>

#include "server/event_loop.h"
#include "server/request.h"

namespace evpool {

class Connection;

// What is left of one turn.
class TurnBudget {
 public:
  // More than a connection has in flight that keeps a server busy; as many brief requests take
  // about kMaxTime.
  static constexpr std::size_t kMaxRequests = 1024;
  // A full receive buffer, four times.
  static constexpr std::size_t kMaxBytes = std::size_t{256} << 10U;
  static constexpr std::chrono::microseconds kMaxTime{100};

  // Before the bytes are decoded. The clock is read for many bytes, or at every 64th request: most
  // turns are shorter, and read it never.
  void count_received(std::size_t bytes) {
    bytes_ += bytes;
    if (bytes >= kBytesPerLook) look();
  }
  void count_request() {
    if (++requests_ % kRequestsPerLook == 0) look();
  }
  // Whether no more may be decoded, and whether no more may be received.
  [[nodiscard]] bool spent() const { return spent_; }
  [[nodiscard]] bool received_enough() const { return spent_ || bytes_ >= kMaxBytes; }

  // Whether the turn was long enough for the clock to be read, and then how long it has taken.
  [[nodiscard]] bool is_long() const { return looked_; }
  [[nodiscard]] std::chrono::nanoseconds time_taken() const { return Clock::now() - first_look_; }

 private:
  static constexpr std::size_t kRequestsPerLook = 64;
  static constexpr std::size_t kBytesPerLook = std::size_t{16} << 10U;
  static_assert(kMaxRequests % kRequestsPerLook == 0);

  void look() {
    const Clock::time_point now = Clock::now();
    if (!std::exchange(looked_, true)) first_look_ = now;
    if (requests_ >= kMaxRequests || now - first_look_ >= kMaxTime) spent_ = true;
  }

  std::size_t requests_ = 0;
  std::size_t bytes_ = 0;
  bool spent_ = false;
  bool looked_ = false;
  Clock::time_point first_look_{};
};

// A connection's place in the queue, which it has from its beginning: waiting needs no memory.
using TurnTicket = std::list<std::shared_ptr<Connection>>;

class TurnQueue {
 public:
  // Time in each round that all waiting connections share. Long turns that nobody waited for share
  // as much again.
  static constexpr std::chrono::microseconds kMaxTimeInRound{250};

  // `loop` must outlive this. Throws std::runtime_error.
  explicit TurnQueue(EventLoop& loop);
  TurnQueue(const TurnQueue&) = delete;
  TurnQueue& operator=(const TurnQueue&) = delete;

  // A ticket of one place. Throws std::bad_alloc.
  [[nodiscard]] static TurnTicket new_ticket() { return TurnTicket(1); }
  // Gives the connection a turn in one of the next rounds. Takes the ticket's place until then.
  void wait(TurnTicket& ticket, std::shared_ptr<Connection> connection) noexcept;

  // Counts a long turn that nobody waited for.
  void count_long_turn(std::chrono::nanoseconds time) noexcept;
  // Returns whether long turns have used up their time in this round. If so, a connection whose
  // turns are long must wait.
  [[nodiscard]] bool round_is_full() const { return time_in_round_ >= kMaxTimeInRound; }

 private:
  void give_turns();
  void end_round() { time_in_round_ = std::chrono::nanoseconds(0); }
  void call_in_next_round() noexcept;

  const UniqueEvent next_round_;
  const UniqueEvent end_of_round_;
  std::chrono::nanoseconds time_in_round_{0};
  TurnTicket waiting_;
};

}  // namespace evpool
