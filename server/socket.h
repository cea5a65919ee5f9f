// Sockets: ownership, binding, addresses. Thread-safe but for Descriptor, which is a value.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "protocol/address.h"

namespace evpool {

// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      close();
      descriptor_ = std::exchange(other.descriptor_, -1);
    }
    return *this;
  }
  ~Descriptor() { close(); }

  [[nodiscard]] int get() const { return descriptor_; }
  [[nodiscard]] bool valid() const { return descriptor_ >= 0; }
  void close();

 private:
  int descriptor_ = -1;
};

// Large enough for IPv4 and IPv6, and small enough to travel with every job.
union PeerAddress {
  sockaddr any;
  sockaddr_in ipv4;
  sockaddr_in6 ipv6;

  [[nodiscard]] socklen_t size() const {
    return any.sa_family == AF_INET6 ? sizeof(ipv6) : sizeof(ipv4);
  }
  friend bool operator==(const PeerAddress& one, const PeerAddress& other) {
    return std::memcmp(&one, &other, other.size()) == 0;
  }
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] std::uint16_t port() const;
  void set_port(std::uint16_t port);
};

enum class Transport : bool { tcp, udp };

// Non-blocking, close-on-exec sockets bound to `address`: one for each address that its host name
// has here (localhost has ::1 and 127.0.0.1), all on one port, also when the kernel chooses it. An
// address that this machine has not is passed over if another one is left; one that is taken is an
// error. IPv6 sockets take IPv6 only, so that 0.0.0.0 and [::] can be given side by side. `name` is
// the transport as people know it. Throws std::runtime_error with a sentence such as "cannot listen
// on tcp 127.0.0.1:6666: ...".
[[nodiscard]] std::vector<Descriptor> bind_sockets(const char* name, const Address& address,
                                                   Transport transport);

// One more socket where the UDP socket `first` is bound; between them the kernel spreads peers,
// each peer's datagrams always to the same. The first was bound alone, so no other process is
// there. Throws as bind_socket.
[[nodiscard]] Descriptor bind_beside(const Descriptor& first);

// Where a bound socket is, with the port the kernel chose; a link-local address with its zone, as
// in fe80::1%eth0, without which it says nothing.
[[nodiscard]] Address local_address(const Descriptor& socket);

// What setsockopt(SO_RCVBUF) granted of `wanted` bytes, as the kernel counts them: it doubles the
// request for its own book-keeping, up to twice net.core.rmem_max.
int set_receive_buffer(const Descriptor& socket, int wanted_bytes);

}  // namespace evpool
