#include "bench/load/answering_address.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "client/name_lookup.h"
#include "client/poll_until.h"

namespace evpool::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLongestWait{500};

enum class Probed : std::uint8_t { answered, silent, refused };

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return value_; }

 private:
  const int value_;
};

// An error of any kind is as good as a refusal: nothing gets there.
Probed probe(const SocketAddress& to, const std::string& datagram,
             std::chrono::milliseconds longest) {
  const Descriptor socket(::socket(to.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0 || connect(socket.get(), to.get(), to.size) != 0 ||
      send(socket.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL) < 0) {
    return Probed::refused;
  }
  const Clock::time_point deadline = Clock::now() + longest;
  while (Clock::now() < deadline) {
    pollfd waiting = {.fd = socket.get(), .events = POLLIN, .revents = 0};
    if (poll_until(waiting, deadline) <= 0) continue;
    std::array<char, 64> ignored;
    if (recv(socket.get(), ignored.data(), ignored.size(), 0) >= 0) return Probed::answered;
    if (errno != EAGAIN && errno != EINTR) return Probed::refused;
  }
  return Probed::silent;
}

std::optional<Address> in_digits(const SocketAddress& from, std::uint16_t port) {
  std::array<char, NI_MAXHOST> host{};
  if (getnameinfo(from.get(), from.size, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) !=
      0) {
    return std::nullopt;
  }
  return Address{host.data(), port};
}

}  // namespace

Address answering_address(const Address& server, const Dialect& dialect,
                          std::chrono::milliseconds timeout) {
  std::vector<SocketAddress> addresses;
  try {
    addresses = look_up(server, timeout);
  } catch (const std::runtime_error&) {
    return server;  // whoever connects to it says why
  }
  if (addresses.size() == 1) return server;

  const std::string datagram = dialect.datagram_probe();
  std::optional<Address> silent;
  for (const SocketAddress& to : addresses) {
    const Probed probed = probe(to, datagram, std::min(timeout, kLongestWait));
    if (probed == Probed::refused) continue;
    const std::optional<Address> address = in_digits(to, server.port);
    if (!address) continue;
    if (probed == Probed::answered) return *address;
    if (!silent) silent = address;
  }
  if (silent) return *silent;
  throw std::runtime_error(
      fmt::format("nobody listens at udp {}, at none of the addresses of that name (is evpoold "
                  "running?)",
                  to_string(server)));
}

}  // namespace evpool::bench
