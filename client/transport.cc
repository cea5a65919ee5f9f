#include "client/transport.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "client/client.h"

namespace evpool {
namespace {

using Clock = std::chrono::steady_clock;

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

[[noreturn]] void refuse(const Address& server, bool udp, const std::string& why) {
  throw ConnectError(std::string("cannot connect to ") + (udp ? "udp " : "tcp ") +
                     to_string(server) + ": " + why);
}

std::string explain_errno(int error) {
  const std::string text = std::strerror(error);  // NOLINT(concurrency-mt-unsafe): glibc's is
  return error == ECONNREFUSED ? text + " (is evpoold running?)" : text;
}

// Longer is for ever, and would overflow the clock.
constexpr std::chrono::milliseconds kLongestTimeout{UINT32_MAX};

// 0, or the errno of the failure.
int finish_connecting(int descriptor, Clock::time_point deadline) {
  for (;;) {
    pollfd waiting = {.fd = descriptor, .events = POLLOUT, .revents = 0};
    const int ready = poll_until(waiting, deadline);
    if (ready == 0 && Clock::now() >= deadline) return ETIMEDOUT;
    if (ready < 0 && errno != EINTR) return errno;
    if (ready > 0) break;
  }
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace

int poll_until(pollfd& waiting, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  // poll() counts in an int, which a far deadline overflows.
  constexpr std::chrono::milliseconds::rep kLongestWait_ms = 60'000;
  return poll(
      &waiting, 1,
      static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left, 0, kLongestWait_ms)));
}

ClientSocket::ClientSocket(const Address& server, bool udp, std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + std::min(timeout, kLongestTimeout);
  addrinfo hints{};
  hints.ai_socktype = udp ? SOCK_DGRAM : SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int look_up =
      getaddrinfo(server.host.c_str(), std::to_string(server.port).c_str(), &hints, &found);
  if (look_up != 0) refuse(server, udp, gai_strerror(look_up));
  const std::unique_ptr<addrinfo, AddressListDeleter> addresses(found);

  int error = 0;
  for (const addrinfo* to = addresses.get(); to != nullptr; to = to->ai_next) {
    descriptor_ = socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor_ < 0) {
      error = errno;  // perhaps there is no such family here, and the next address has another
      continue;
    }
    error = connect(descriptor_, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) error = finish_connecting(descriptor_, deadline);
    if (error == 0) break;
    close(std::exchange(descriptor_, -1));
  }
  if (descriptor_ < 0) refuse(server, udp, explain_errno(error));
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

}  // namespace evpool
