// Connected, non-blocking sockets for the client.
#pragma once

#include <chrono>
#include <cstddef>

#include "protocol/address.h"

namespace evpool {

// Owns a connected socket.
class ClientSocket {
 public:
  // Looks the host up and connects to the first of its addresses that answers (connector.h), all
  // within `timeout`. Throws ConnectError.
  ClientSocket(const Address& server, bool udp, std::chrono::milliseconds timeout);
  ~ClientSocket();
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  [[nodiscard]] int get() const { return descriptor_; }
  [[nodiscard]] bool is_loopback() const;

  // Asks the kernel for a receive buffer; returns what was granted. Both as the kernel counts them:
  // a datagram costs about twice its bytes and 1 KiB.
  std::size_t ask_receive_buffer(std::size_t bytes) const;

 private:
  int descriptor_ = -1;
};

}  // namespace evpool
