// Connects to the first of a host's addresses that answers, as RFC 8305 ("Happy Eyeballs")
// describes it: an address that is silent does not use up the time of the next one. Thread-safe.
#pragma once

#include <chrono>
#include <vector>

#include "client/name_lookup.h"

namespace evpool {

// An address is tried this long alone, before the next one is tried beside it (RFC 8305, section
// 5). A refused one makes the next one's turn come at once.
inline constexpr std::chrono::milliseconds kConnectStagger{250};

struct Connected {
  int descriptor = -1;  // non-blocking; the caller's to close
  int error = 0;        // when there is none: an errno, ETIMEDOUT after the deadline
};

// Families take turns, that of the first address first; otherwise the order is kept. All sockets
// but the one returned are closed. Over UDP connecting says nothing about the peer, so where there
// are several addresses each is pinged, and one that answers is taken. REQUIRES: at least one
// address.
[[nodiscard]] Connected connect_to_first(std::vector<SocketAddress> addresses, bool udp,
                                         std::chrono::steady_clock::time_point deadline);

}  // namespace evpool
