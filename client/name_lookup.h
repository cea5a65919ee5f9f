// The socket addresses of a host, found within a time limit.
//
// The resolver (getaddrinfo) takes no deadline: an unreachable name server alone holds it for ten
// seconds. So a name is looked up in a thread of its own, which owns all it needs. When the time is
// over that thread is left behind; it ends when the resolver gives up, and its result is dropped.
// getaddrinfo_a would start a thread, too, and cannot cancel a look-up that has begun either.
// An address in digits needs no thread. Thread-safe.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <vector>

#include "protocol/address.h"

namespace evpool {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
  friend bool operator==(const SocketAddress& one, const SocketAddress& other);
};

// At least one address, each once, in the order in which the system would try them. Blocks for
// `timeout` at most. Throws std::runtime_error with the reason: "Name or service not known",
// "looking the name up took longer than 500ms".
[[nodiscard]] std::vector<SocketAddress> look_up(const Address& server,
                                                 std::chrono::milliseconds timeout);

}  // namespace evpool
