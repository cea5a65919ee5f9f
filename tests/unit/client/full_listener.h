// A listener that takes no connections, as a dead address does: who connects to it has to wait.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <vector>

#include "tests/unit/client/fake_server.h"

namespace evpool {

// Its queue of connections is full.
class FullListener {
 public:
  FullListener() : socket_(Transport::tcp) {
    BoundSocket::check(::listen(socket_.get(), 0), "listen");
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(address().port);
    // The queue of a backlog of 0 holds one or two; the others wait like those to come.
    for (int i = 0; i < 8; ++i) {
      const auto& filler =
          fillers_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      const int connected =
          ::connect(filler.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to));
      if (connected != 0 && errno != EINPROGRESS) BoundSocket::check(connected, "connect");
    }
  }

  [[nodiscard]] const Address& address() const { return socket_.address(); }

  // Takes the connections that wait, within 10 ms.
  void take_connections() {
    fillers_.clear();
    pollfd waiting = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
    while (::poll(&waiting, 1, 10) > 0) {
      taken_.emplace_back(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
  }

 private:
  const BoundSocket socket_;
  std::vector<Descriptor> fillers_;
  std::vector<Descriptor> taken_;
};

}  // namespace evpool
