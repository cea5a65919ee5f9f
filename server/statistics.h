// What a server has counted. At any quiet moment
//   received = completed + failed + expired + cancelled + refused.
#pragma once

#include <cstdint>

namespace evpool {

struct Statistics {
  std::uint64_t received = 0;   // requests, also those whose bytes made none (bad_request)
  std::uint64_t completed = 0;  // the handler answered ok
  std::uint64_t failed = 0;     // the handler answered failed, or threw
  std::uint64_t expired = 0;    // the deadline passed before the handler started
  std::uint64_t cancelled = 0;  // the peer had gone before the start, or the handler was stopped
  std::uint64_t refused = 0;    // busy, not_found, too_large, bad_request, shutting_down

  // Of those above, answers that the kernel did not take whole: the peer had gone or did not read,
  // or the kernel refused.
  std::uint64_t undelivered = 0;

  std::uint64_t pings = 0;
  std::uint64_t datagrams_ignored = 0;  // replies sent to us, and what may be one
  std::uint64_t datagrams_dropped = 0;  // by the kernel, for want of receive buffer
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;  // over max_connections, or no descriptor left
  std::uint64_t connections_stalled = 0;  // closed after stall_timeout
  std::uint64_t connections_evicted = 0;  // closed idle, for a new one at max_connections
  std::uint64_t connections_open = 0;     // now
};

}  // namespace evpool
