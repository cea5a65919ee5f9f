// A closed loop: every connection keeps a fixed number of requests in flight, and sends the next
// one when a reply has come. It measures capacity; it cannot see the waiting of requests that a
// slow server kept it from sending. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "bench/load/latency_histogram.h"
#include "protocol/address.h"

namespace evpool {

struct ClosedLoopOptions {
  Address server{"127.0.0.1", 6666};
  bool udp = false;
  std::size_t connections = 1;
  std::size_t in_flight = 1;  // on each connection
  std::size_t payload_bytes = 32;
  std::string job = "upper";
  std::chrono::milliseconds duration{3'000};
  std::chrono::milliseconds warm_up{200};    // what was sent before its end is not measured
  std::chrono::milliseconds timeout{1'000};  // after which a datagram counts as lost
};

// Of what was sent after the warm-up: sent = ok + refused + wrong + lost.
struct ClosedLoopResult {
  std::uint64_t sent = 0;
  std::uint64_t ok = 0;       // replied ok, and the payload was verified
  std::uint64_t refused = 0;  // replied with another status
  std::uint64_t wrong = 0;    // replied ok with the wrong payload
  std::uint64_t lost = 0;     // not replied in time
  double seconds = 0;         // from the end of the warm-up to the last measured reply
  LatencyHistogram latency;   // of `ok`, from send to reply

  [[nodiscard]] double jobs_per_second() const {
    return seconds > 0 ? static_cast<double>(ok) / seconds : 0;
  }
};

// Replies are verified for the jobs `echo` and `upper`; for others any payload is right. Throws
// ConnectError, or std::runtime_error when a connection is lost or the server speaks nonsense.
[[nodiscard]] ClosedLoopResult run_closed_loop(const ClosedLoopOptions& options);

}  // namespace evpool
