// The plainest client there can be, for the load generator to be compared with: no clock and no
// check for a request, no frames, nothing recorded.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "protocol/address.h"

namespace evpool::bench {

struct PlainClientOptions {
  Address server;
  std::size_t connections = 1;
  std::size_t in_flight = 1;  // on each connection
  std::size_t bytes = 32;     // of a request, and of a reply
  std::chrono::milliseconds warm_up{200};
  std::chrono::milliseconds duration{1'000};
};

struct PlainClientResult {
  double replies_per_second = 0;
  double cpu_ns_per_reply = 0;  // of the client, as it measured
  double calls_per_reply = 0;   // of send and recv
};

// A closed loop over TCP, in the caller's thread: as many bytes as have come are sent again,
// however many replies they are. Throws ConnectError, or std::runtime_error when the server ends a
// connection.
[[nodiscard]] PlainClientResult run_plain_client(const PlainClientOptions& options);

}  // namespace evpool::bench
