// Which address of a name to talk to over UDP. A connected datagram socket cannot tell: connecting
// sends nothing, so the first address of "localhost", ::1, always seems to do. Thread-safe.
#pragma once

#include <chrono>

#include "bench/load/dialect.h"
#include "protocol/address.h"

namespace evpool::bench {

// `server` itself, when it has one address only or cannot be looked up. Otherwise sends the
// dialect's probe to one address after the other, and returns the first, in digits, from which
// something comes back; if nothing does, the first that did not refuse it. Waits at most `timeout`
// or half a second for each, whichever is shorter, and `timeout` for looking the name up. Throws
// std::runtime_error when all refuse.
[[nodiscard]] Address answering_address(const Address& server, const Dialect& dialect,
                                        std::chrono::milliseconds timeout);

}  // namespace evpool::bench
