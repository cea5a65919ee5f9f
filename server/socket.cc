#include "server/socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

namespace evpool {
namespace {

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListDeleter>;

[[noreturn]] void refuse(const char* name, const Address& address, const std::string& why) {
  throw std::runtime_error(
      fmt::format("cannot listen on {} {}: {}", name, to_string(address), why));
}

std::string explain_errno(int error) {
  switch (error) {
    case EADDRINUSE:
      return "address already in use (is another evpoold running? port 0 picks a free one)";
    case EACCES:
      return "permission denied (ports below 1024 need privileges)";
    case EADDRNOTAVAIL:
      return "no interface of this machine has that address";
    default:
      return std::strerror(error);  // NOLINT(concurrency-mt-unsafe): glibc's is
  }
}

AddressList look_up(const char* name, const Address& address, Transport transport) {
  addrinfo hints{};
  hints.ai_socktype = transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) refuse(name, address, gai_strerror(error));
  return AddressList(found);
}

int try_bind(const Descriptor& socket, const addrinfo& where) {
  const int on = 1;
  // A listener may take its port over from connections in TIME_WAIT. Not so for UDP, where the
  // option would let a second process steal the port.
  if (where.ai_socktype == SOCK_STREAM) {
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  }
  if (where.ai_family == AF_INET6) {
    setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  if (bind(socket.get(), where.ai_addr, where.ai_addrlen) != 0) return errno;
  if (where.ai_socktype == SOCK_STREAM && listen(socket.get(), SOMAXCONN) != 0) return errno;
  return 0;
}

}  // namespace

void Descriptor::close() {
  if (valid()) ::close(std::exchange(descriptor_, -1));
}

bool PeerAddress::is_loopback() const {
  if (any.sa_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&ipv6.sin6_addr);
  constexpr std::uint32_t kLoopbackNet = 127;
  return ntohl(ipv4.sin_addr.s_addr) >> 24U == kLoopbackNet;
}

std::uint16_t PeerAddress::port() const {
  return ntohs(any.sa_family == AF_INET6 ? ipv6.sin6_port : ipv4.sin_port);
}

Descriptor bind_socket(const char* name, const Address& address, Transport transport) {
  const AddressList addresses = look_up(name, address, transport);
  int error = 0;
  for (const addrinfo* where = addresses.get(); where != nullptr; where = where->ai_next) {
    Descriptor socket(
        ::socket(where->ai_family, where->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    error = socket.valid() ? try_bind(socket, *where) : errno;
    if (error == 0) return socket;
  }
  refuse(name, address, explain_errno(error));
}

Descriptor bind_beside(const Descriptor& first) {
  PeerAddress bound{};
  socklen_t size = sizeof(bound);
  const int on = 1;
  Descriptor socket;
  // The option counts at the second's bind, so that the first could still be refused a taken port.
  if (getsockname(first.get(), &bound.any, &size) == 0 &&
      setsockopt(first.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) {
    socket =
        Descriptor(::socket(bound.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  }
  if (socket.valid() && bound.any.sa_family == AF_INET6) {
    setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  if (!socket.valid() || setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
      bind(socket.get(), &bound.any, bound.size()) != 0) {
    const int error = errno;
    refuse("udp", local_address(first), "a socket for each I/O thread: " + explain_errno(error));
  }
  return socket;
}

Address local_address(const Descriptor& socket) {
  PeerAddress bound{};
  socklen_t size = sizeof(bound);
  if (getsockname(socket.get(), &bound.any, &size) != 0) {
    throw std::runtime_error(fmt::format("cannot ask where a socket is bound: {}",
                                         std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
  }
  char host[INET6_ADDRSTRLEN] = {};
  if (bound.any.sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &bound.ipv6.sin6_addr, host, sizeof(host));
  } else {
    inet_ntop(AF_INET, &bound.ipv4.sin_addr, host, sizeof(host));
  }
  return {.host = host, .port = bound.port()};
}

int set_receive_buffer(const Descriptor& socket, int wanted_bytes) {
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &wanted_bytes, sizeof(wanted_bytes));
  int granted_bytes = 0;
  socklen_t size = sizeof(granted_bytes);
  getsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &granted_bytes, &size);
  return granted_bytes;
}

}  // namespace evpool
