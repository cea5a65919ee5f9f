#include "server/socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netdb.h>
#include <unistd.h>

#include <algorithm>
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

// How often to let the kernel choose another port, when the one it chose is taken elsewhere.
constexpr int kPortAttempts = 16;

// "%eth0", or the interface's number if its name cannot be had; empty for an address without one.
std::string zone_of(const PeerAddress& address) {
  if (address.any.sa_family != AF_INET6 || address.ipv6.sin6_scope_id == 0) return {};
  char name[IF_NAMESIZE] = {};
  if (if_indextoname(address.ipv6.sin6_scope_id, name) != nullptr) return fmt::format("%{}", name);
  return fmt::format("%{}", address.ipv6.sin6_scope_id);
}

// The host's addresses, each once.
std::vector<PeerAddress> look_up(const char* name, const Address& address, Transport transport) {
  addrinfo hints{};
  hints.ai_socktype = transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) refuse(name, address, gai_strerror(error));
  const AddressList list(found);
  std::vector<PeerAddress> places;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    PeerAddress place{};
    std::memcpy(&place, entry->ai_addr, std::min<std::size_t>(entry->ai_addrlen, sizeof(place)));
    if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
  }
  return places;
}

// 0, or the errno of the failure.
int bind_one(const PeerAddress& place, Transport transport, Descriptor& socket) {
  const bool stream = transport == Transport::tcp;
  socket = Descriptor(::socket(
      place.any.sa_family, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return errno;
  const int on = 1;
  // A listener may take its port over from connections in TIME_WAIT. Not so for UDP, where the
  // option would let a second process steal the port.
  if (stream) setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (place.any.sa_family == AF_INET6) {
    setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  if (bind(socket.get(), &place.any, place.size()) != 0) return errno;
  if (stream && listen(socket.get(), SOMAXCONN) != 0) return errno;
  return 0;
}

bool is_not_here(int error) { return error == EADDRNOTAVAIL || error == EAFNOSUPPORT; }

// Binds all of them, on the port that the first one gets. 0, or the errno of the failure.
int bind_each(std::vector<PeerAddress> places, Transport transport,
              std::vector<Descriptor>& sockets) {
  int not_here = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    Descriptor socket;
    const int error = bind_one(places[i], transport, socket);
    if (is_not_here(error)) {
      not_here = error;
      continue;
    }
    if (error != 0) return error;
    if (sockets.empty()) {
      PeerAddress bound{};
      socklen_t size = sizeof(bound);
      if (getsockname(socket.get(), &bound.any, &size) != 0) return errno;
      for (PeerAddress& place : places) place.set_port(bound.port());
    }
    sockets.push_back(std::move(socket));
  }
  return sockets.empty() ? not_here : 0;
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

void PeerAddress::set_port(std::uint16_t port) {
  (any.sa_family == AF_INET6 ? ipv6.sin6_port : ipv4.sin_port) = htons(port);
}

std::uint16_t PeerAddress::port() const {
  return ntohs(any.sa_family == AF_INET6 ? ipv6.sin6_port : ipv4.sin_port);
}

std::vector<Descriptor> bind_sockets(const char* name, const Address& address,
                                     Transport transport) {
  const std::vector<PeerAddress> places = look_up(name, address, transport);
  int error = 0;
  for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
    std::vector<Descriptor> sockets;
    error = bind_each(places, transport, sockets);
    if (error == 0) return sockets;
    // The port that the kernel chose on one address was taken on another.
    if (address.port != 0 || places.size() == 1 || error != EADDRINUSE) break;
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
  return {.host = host + zone_of(bound), .port = bound.port()};
}

int set_receive_buffer(const Descriptor& socket, int wanted_bytes) {
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &wanted_bytes, sizeof(wanted_bytes));
  int granted_bytes = 0;
  socklen_t size = sizeof(granted_bytes);
  getsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &granted_bytes, &size);
  return granted_bytes;
}

}  // namespace evpool
