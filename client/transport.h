// Connected, non-blocking sockets for the client.
#pragma once

#include <poll.h>

#include <chrono>
#include <utility>

#include "protocol/address.h"

namespace evpool {

// As poll() of one, until `deadline`; it may return 0 before, so look at the clock.
int poll_until(pollfd& waiting, std::chrono::steady_clock::time_point deadline);

// Owns a connected socket.
class ClientSocket {
 public:
  // Tries each address that the host has, all within `timeout`. Throws ConnectError.
  ClientSocket(const Address& server, bool udp, std::chrono::milliseconds timeout);
  ~ClientSocket();
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  [[nodiscard]] int get() const { return descriptor_; }
  [[nodiscard]] bool is_loopback() const;

 private:
  int descriptor_ = -1;
};

}  // namespace evpool
