// The datagrams of one socket on their way out, and what is done to them on purpose before:
// dropped, doubled, overtaken by the next. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "bench/load/account.h"
#include "bench/load/datagrams.h"
#include "bench/load/load_options.h"
#include "bench/load/workload.h"

namespace evpool::bench {

class ImpairedQueue {
 public:
  using Clock = std::chrono::steady_clock;

  // Counts in `account` what it does to the datagram; a dropped one only if it is `measured`.
  void add(std::string_view datagram, bool measured, const Impairment& impairment, Random& random,
           Clock::time_point now, Account& account);
  // Gives up on having the one that is held back overtaken, when it has been held long enough.
  // True: it has.
  bool release_held(Clock::time_point now);

  // What is to be sent.
  [[nodiscard]] DatagramQueue& queue() { return queue_; }

 private:
  DatagramQueue queue_;
  std::string held_;  // empty: none is
  Clock::time_point held_since_;
};

}  // namespace evpool::bench
