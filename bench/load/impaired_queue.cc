#include "bench/load/impaired_queue.h"

#include <random>

namespace evpool::bench {
namespace {

constexpr std::chrono::milliseconds kLongestHold{10};

}  // namespace

void ImpairedQueue::add(std::string_view datagram, bool measured, const Impairment& impairment,
                        Random& random, Clock::time_point now, Account& account) {
  if (!impairment.any()) {
    queue_.add(datagram);
    return;
  }
  std::uniform_real_distribution<double> chance(0, 1);
  if (chance(random) < impairment.drop) {
    account.impaired_drops += measured ? 1 : 0;
    return;
  }
  const bool twice = chance(random) < impairment.duplicate;
  account.impaired_duplicates += twice ? 1 : 0;
  if (!twice && held_.empty() && chance(random) < impairment.reorder) {
    held_ = datagram;
    held_since_ = now;
    return;
  }
  queue_.add(datagram);
  if (twice) queue_.add(datagram);
  if (held_.empty()) return;
  queue_.add(held_);
  held_.clear();
  ++account.impaired_reorders;
}

bool ImpairedQueue::release_held(Clock::time_point now) {
  if (held_.empty() || now - held_since_ < kLongestHold) return false;
  queue_.add(held_);
  held_.clear();
  return true;
}

}  // namespace evpool::bench
