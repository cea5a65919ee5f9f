#include "server/turn.h"

#include <new>
#include <utility>

#include "server/connection.h"

namespace evpool {

TurnQueue::TurnQueue(EventLoop& loop)
    : next_round_(loop.new_event<&TurnQueue::give_turns>(-1, 0, this)),
      end_of_round_(loop.new_event<&TurnQueue::end_round>(-1, EV_PERSIST, this)) {}

void TurnQueue::wait(TurnTicket& ticket, std::shared_ptr<Connection> connection) noexcept {
  if (waiting_.empty()) call_in_next_round();
  ticket.front() = std::move(connection);
  waiting_.splice(waiting_.end(), ticket);
}

void TurnQueue::count_long_turn(std::chrono::nanoseconds time) noexcept {
  // Made active now, it comes after all that is active already: libevent appends.
  if (time_in_round_.count() == 0) EventLoop::call(*end_of_round_);
  time_in_round_ += time;
}

// By a timer: libevent would run an active event before it looks for what others have sent.
void TurnQueue::call_in_next_round() noexcept {
  try {
    EventLoop::arm(*next_round_, std::chrono::milliseconds(0));
  } catch (const std::bad_alloc&) {
    EventLoop::call(*next_round_);
  }
}

void TurnQueue::give_turns() {
  const Clock::time_point end = Clock::now() + kMaxTimeInRound;
  // Those that come back while this runs wait for the next round.
  for (std::size_t left = waiting_.size(); left > 0; --left) {
    TurnTicket ticket;
    ticket.splice(ticket.end(), waiting_, waiting_.begin());
    const std::shared_ptr<Connection> connection = std::move(ticket.front());
    connection->take_turn(std::move(ticket));
    if (Clock::now() >= end) break;
  }
  if (!waiting_.empty()) call_in_next_round();
}

}  // namespace evpool
