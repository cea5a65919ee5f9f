#include "client/flight_window.h"

#include <algorithm>

namespace evpool {

void FlightWindow::replied(Clock::time_point sent, Clock::time_point received) {
  if (sent < changed_at_) return;
  const Clock::duration in_flight = received - sent;
  shortest_ = size_ == 1 ? in_flight : std::min(shortest_, in_flight);
  const Clock::duration waited = in_flight - shortest_;
  if (waited > timeout_ / 2) {
    change(size_ / 2, received);
  } else if (waited < timeout_ / 4 && ++prompt_ >= size_) {
    change(size_ * 2, received);
  }
}

void FlightWindow::too_late(Clock::time_point sent, Clock::time_point now) {
  if (sent >= changed_at_) change(size_ / 2, now);
}

void FlightWindow::change(std::size_t size, Clock::time_point now) {
  size_ = std::clamp<std::size_t>(size, 1, kMost);
  changed_at_ = now;
  prompt_ = 0;
}

}  // namespace evpool
