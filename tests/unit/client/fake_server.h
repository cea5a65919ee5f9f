// A server of the test's own: one TCP connection or UDP peer, driven step by step. Most tests drive
// it from their own thread between the calls of the client, which does no I/O outside of them;
// where the client blocks, from a second one.
//
// Every step that waits gives up after kPatience and throws, so that a test fails instead of
// hanging.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "protocol/address.h"
#include "protocol/frame.h"
#include "protocol/frame_splitter.h"

namespace evpool {

// Far beyond what any step takes, on a slow machine too.
inline constexpr std::chrono::seconds kPatience{60};

enum class Transport : std::uint8_t { tcp, udp };

// Owns a descriptor.
class Descriptor {
 public:
  explicit Descriptor(int descriptor = -1) : descriptor_(descriptor) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
    return *this;
  }

  [[nodiscard]] int get() const { return descriptor_; }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }

 private:
  int descriptor_;
};

// A socket bound to a free port of 127.0.0.1. Until someone listens on it a TCP connection is
// refused, and nobody else gets the port.
class BoundSocket {
 public:
  explicit BoundSocket(Transport transport)
      : socket_(::socket(
            AF_INET, (transport == Transport::udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    check(::bind(get(), reinterpret_cast<const sockaddr*>(&address), size), "bind");
    check(::getsockname(get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    address_ = {"127.0.0.1", ntohs(address.sin_port)};
  }

  [[nodiscard]] int get() const { return socket_.get(); }
  [[nodiscard]] const Address& address() const { return address_; }

  // Makes a UDP port a dead one: a socket that is connected to itself takes no datagram of anybody
  // else's, and the kernel tells the sender so, as it does for a port without a socket.
  void refuse_datagrams() {
    sockaddr_in self{};
    self.sin_family = AF_INET;
    self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    self.sin_port = htons(address_.port);
    check(::connect(get(), reinterpret_cast<const sockaddr*>(&self), sizeof(self)), "connect");
  }

  static void check(ssize_t result, const char* call) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  }

 private:
  Descriptor socket_;
  Address address_;
};

class FakeServer {
 public:
  explicit FakeServer(Transport transport = Transport::tcp)
      : transport_(transport), socket_(transport), splitter_(UINT32_MAX) {
    if (transport == Transport::tcp) BoundSocket::check(::listen(socket_.get(), 1), "listen");
  }

  [[nodiscard]] const Address& address() const { return socket_.address(); }

  // Takes the connection that a client has made or will make. TCP only.
  void accept() {
    await(socket_.get(), POLLIN, "a connection");
    connection_ = Descriptor(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    BoundSocket::check(connection_.get(), "accept");
  }

  // The next frame the client has sent or will send; over UDP, send() answers its sender then.
  Frame receive() {
    Frame frame;
    if (transport_ == Transport::udp) {
      const std::string datagram = receive_datagram();
      if (decode_datagram(datagram, frame) != FrameError::none) {
        throw std::runtime_error("the client sent a datagram that is no frame");
      }
      return frame;
    }
    for (;;) {
      switch (splitter_.next(frame)) {
        case FrameSplitter::Item::frame:
          return frame;
        case FrameSplitter::Item::need_more:
          break;
        case FrameSplitter::Item::oversize:
        case FrameSplitter::Item::no_memory:
        case FrameSplitter::Item::malformed:
          throw std::runtime_error("the client sent what is no frame");
      }
      await(connection_.get(), POLLIN, "a frame");
      const ssize_t got = ::recv(connection_.get(), buffer_.data(), buffer_.size(), 0);
      BoundSocket::check(got, "recv");
      if (got == 0) throw std::runtime_error("the client closed the connection");
      splitter_.push({buffer_.data(), static_cast<std::size_t>(got)});
    }
  }

  // The next datagram, as it came.
  std::string receive_datagram() {
    await(socket_.get(), POLLIN, "a datagram");
    socklen_t size = sizeof(peer_);
    const ssize_t got = ::recvfrom(socket_.get(), buffer_.data(), buffer_.size(), 0,
                                   reinterpret_cast<sockaddr*>(&peer_), &size);
    BoundSocket::check(got, "recvfrom");
    return {buffer_.data(), static_cast<std::size_t>(got)};
  }

  // Reads what the client's frames are made of, as far as it is there, and throws it away; the
  // number of bytes. TCP only.
  std::size_t discard(std::size_t at_most) {
    const ssize_t got =
        ::recv(connection_.get(), buffer_.data(), std::min(at_most, buffer_.size()), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return 0;
    BoundSocket::check(got, "recv");
    if (got == 0) throw std::runtime_error("the client closed the connection");
    return static_cast<std::size_t>(got);
  }

  // Sends bytes as they are; over UDP, as one datagram.
  void send(std::string_view bytes) { send_to(peer_, bytes); }

  // Over UDP: from this port to the client of `other`.
  void send_to_client_of(const FakeServer& other, std::string_view bytes) {
    send_to(other.peer_, bytes);
  }

  void reply(std::uint64_t id, Status status, std::string_view payload) {
    send(make_reply(id, status, payload));
  }
  void reply(const Frame& request, std::string_view payload) {
    reply(request.header.id, Status::ok, payload);
  }

  static std::string make_reply(std::uint64_t id, Status status, std::string_view payload) {
    std::string bytes;
    append_reply_header(id, status, static_cast<std::uint32_t>(payload.size()), bytes);
    return bytes.append(payload);
  }

  // Whether the client sends nothing for that long.
  [[nodiscard]] bool hears_nothing(std::chrono::milliseconds how_long) const {
    const int from = transport_ == Transport::udp ? socket_.get() : connection_.get();
    return !is_ready(from, POLLIN, how_long);
  }

  // Whether the client closes the connection, having sent nothing more, within that time.
  [[nodiscard]] bool hears_the_end(std::chrono::milliseconds how_long) const {
    char byte = 0;
    return is_ready(connection_.get(), POLLIN, how_long) &&
           ::recv(connection_.get(), &byte, 1, MSG_PEEK) == 0;
  }

  // Ends the connection in good order.
  void close() { connection_.close(); }

  // Ends the connection with a reset, as a killed server with unread requests does.
  void reset() {
    const linger at_once = {.l_onoff = 1, .l_linger = 0};
    BoundSocket::check(
        ::setsockopt(connection_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)),
        "setsockopt");
    connection_.close();
  }

 private:
  static bool is_ready(int descriptor, short events, std::chrono::milliseconds within) {
    pollfd waiting = {.fd = descriptor, .events = events, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(within.count()));
    BoundSocket::check(ready, "poll");
    return ready > 0;
  }

  static void await(int descriptor, short events, const std::string& what) {
    if (!is_ready(descriptor, events, kPatience)) {
      throw std::runtime_error("waited in vain for " + what);
    }
  }

  void send_to(const sockaddr_in& peer, std::string_view bytes) {
    if (transport_ == Transport::udp) {
      BoundSocket::check(::sendto(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL,
                                  reinterpret_cast<const sockaddr*>(&peer), sizeof(peer)),
                         "sendto");
      return;
    }
    while (!bytes.empty()) {
      await(connection_.get(), POLLOUT, "room to send");
      const ssize_t sent =
          ::send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EAGAIN) continue;
      BoundSocket::check(sent, "send");
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  const Transport transport_;
  const BoundSocket socket_;  // the listener, or the UDP socket
  Descriptor connection_;
  sockaddr_in peer_{};  // of the last datagram
  FrameSplitter splitter_;
  std::vector<char> buffer_ = std::vector<char>(std::size_t{256} << 10U);
};

}  // namespace evpool
