#include "server/turn.h"

#include <utility>

#include "server/connection.h"

namespace evpool {

TurnQueue::TurnQueue(EventLoop& loop)
    : next_round_(loop.new_event(
          -1, 0, [](int, short, void* self) { static_cast<TurnQueue*>(self)->give_turns(); },
          this)) {}

void TurnQueue::wait(std::shared_ptr<Connection> connection) {
  // A timer, not an active event: libevent would run that before it looks for what others sent.
  if (waiting_.empty()) EventLoop::arm(*next_round_, std::chrono::milliseconds(0));
  waiting_.push_back(std::move(connection));
}

void TurnQueue::give_turns() {
  const Clock::time_point end = Clock::now() + kMaxTimeInRound;
  // Those that come back while this runs wait for the next round.
  for (std::size_t left = waiting_.size(); left > 0; --left) {
    const std::shared_ptr<Connection> connection = std::move(waiting_.front());
    waiting_.pop_front();
    connection->take_turn();
    if (Clock::now() >= end) break;
  }
  if (!waiting_.empty()) EventLoop::arm(*next_round_, std::chrono::milliseconds(0));
}

}  // namespace evpool
