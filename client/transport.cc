#include "client/transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/connector.h"
#include "client/name_lookup.h"

namespace evpool {
namespace {

using Clock = std::chrono::steady_clock;

// Longer is for ever, and would overflow the clock.
constexpr std::chrono::milliseconds kLongestTimeout{UINT32_MAX};

[[noreturn]] void refuse(const Address& server, bool udp, const std::string& why) {
  throw ConnectError(std::string("cannot connect to ") + (udp ? "udp " : "tcp ") +
                     to_string(server) + ": " + why);
}

std::vector<SocketAddress> addresses_of(const Address& server, bool udp,
                                        std::chrono::milliseconds timeout) {
  try {
    return look_up(server, timeout);
  } catch (const std::runtime_error& error) {
    refuse(server, udp, error.what());
  }
}

std::string explain_errno(int error) {
  const std::string text = std::strerror(error);  // NOLINT(concurrency-mt-unsafe): glibc's is
  return error == ECONNREFUSED ? text + " (is evpoold running?)" : text;
}

}  // namespace

ClientSocket::ClientSocket(const Address& server, bool udp, std::chrono::milliseconds timeout) {
  timeout = std::clamp(timeout, std::chrono::milliseconds(0), kLongestTimeout);
  const auto deadline = Clock::now() + timeout;
  const Connected connected = connect_to_first(addresses_of(server, udp, timeout), udp, deadline);
  if (connected.descriptor < 0) refuse(server, udp, explain_errno(connected.error));
  descriptor_ = connected.descriptor;
  if (!udp) {
    const int on = 1;
    setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
}

ClientSocket::~ClientSocket() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool ClientSocket::is_loopback() const {
  sockaddr_storage peer{};
  socklen_t size = sizeof(peer);
  if (getpeername(descriptor_, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return false;
  if (peer.ss_family == AF_INET6) {
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr);
  }
  constexpr std::uint32_t kLoopbackNet = 127;
  return ntohl(reinterpret_cast<const sockaddr_in&>(peer).sin_addr.s_addr) >> 24U == kLoopbackNet;
}

std::size_t ClientSocket::ask_receive_buffer(std::size_t bytes) const {
  // The kernel doubles what it is asked for, to have room for its own bookkeeping.
  const int asked = static_cast<int>(bytes / 2);
  setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &asked, sizeof(asked));
  int granted = 0;
  socklen_t size = sizeof(granted);
  getsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &granted, &size);
  return static_cast<std::size_t>(std::max(granted, 0));
}

}  // namespace evpool
