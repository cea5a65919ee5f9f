// A socket of a test's own, for peers that do what the client library would never do. Every receive
// has a deadline, after which the test fails instead of hanging.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/frame.h"

namespace evpool {

class Peer {
 public:
  static constexpr int kDeadline_ms = 30'000;

  static Peer tcp(std::uint16_t port, int receive_buffer_bytes = 0) {
    return Peer(SOCK_STREAM, port, receive_buffer_bytes);
  }
  static Peer udp(std::uint16_t port) { return Peer(SOCK_DGRAM, port, 0); }

  Peer(Peer&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  Peer& operator=(Peer&& other) noexcept {
    std::swap(socket_, other.socket_);
    return *this;
  }
  ~Peer() { close(); }

  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  // Closes with a reset instead of a goodbye.
  void reset() {
    const linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close();
  }
  void end_output() { shutdown(socket_, SHUT_WR); }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0) << "errno " << errno;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // False when the server has closed.
  [[nodiscard]] bool try_send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // What the socket takes without blocking; the number of bytes it did.
  std::size_t send_some(std::string_view bytes) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }
  void send_datagram(std::string_view bytes) {
    ASSERT_EQ(::send(socket_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }

  std::string receive_exactly(std::size_t bytes) {
    std::string received(bytes, '\0');
    received.resize(receive_exactly(std::span<char>(received)));
    return received;
  }
  // Returns how much it was.
  std::size_t receive_exactly(std::span<char> space) {
    std::size_t have = 0;
    while (have < space.size()) {
      const auto more = receive_into(space.subspan(have));
      if (!more || *more == 0) break;
      have += *more;
    }
    EXPECT_EQ(have, space.size()) << "the stream ended or nothing came";
    return have;
  }
  // What is there now; returns how much it was.
  std::size_t receive_now(std::span<char> space) {
    const ssize_t received = recv(socket_, space.data(), space.size(), MSG_DONTWAIT);
    return received > 0 ? static_cast<std::size_t>(received) : 0;
  }
  // Up to where the server closes; a reset counts as an end only when `may_reset`.
  std::string receive_to_end(bool may_reset = false) {
    std::string received;
    for (;;) {
      const auto piece = receive_some(64 << 10);
      if (!piece) {
        EXPECT_TRUE(may_reset) << "reset, or nothing came";
        return received;
      }
      if (piece->empty()) return received;
      received += *piece;
    }
  }
  std::string receive_line() {
    std::string line = receive_to_end_of_line();
    EXPECT_TRUE(line.ends_with('\n')) << line;
    return line;
  }
  // A line, or what there was of one when the server closed.
  std::string receive_to_end_of_line() {
    std::string line;
    while (!line.ends_with('\n')) {
      const auto piece = receive_some(1);
      if (!piece || piece->empty()) break;
      line += *piece;
    }
    return line;
  }
  // None when the server has closed.
  std::optional<Frame> try_receive_frame() {
    Frame frame;
    std::string header;
    while (header.size() < kFrameHeaderBytes) {
      const auto piece = receive_some(kFrameHeaderBytes - header.size());
      if (!piece || piece->empty()) return std::nullopt;
      header += *piece;
    }
    EXPECT_EQ(decode_header(header, frame.header), FrameError::none);
    while (frame.payload.size() < frame.header.payload_bytes) {
      const auto piece = receive_some(frame.header.payload_bytes - frame.payload.size());
      if (!piece || piece->empty()) return std::nullopt;
      frame.payload += *piece;
    }
    return frame;
  }
  Frame receive_frame() {
    Frame frame;
    const std::string header = receive_exactly(kFrameHeaderBytes);
    EXPECT_EQ(decode_header(header, frame.header), FrameError::none);
    frame.payload = receive_exactly(frame.header.payload_bytes);
    return frame;
  }
  std::string receive_datagram() { return receive_some(65'536).value_or("nothing came"); }
  // Whether nothing is there to be received now.
  bool nothing_arrived() {
    char byte = 0;
    return recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }

  [[nodiscard]] int descriptor() const { return socket_; }

 private:
  Peer(int type, std::uint16_t port, int receive_buffer_bytes)
      : socket_(socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    if (receive_buffer_bytes > 0) {
      setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                 sizeof(receive_buffer_bytes));
    }
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    EXPECT_EQ(connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0)
        << "errno " << errno;
  }

  // Empty at the end of the stream; none at an error or the deadline.
  std::optional<std::string> receive_some(std::size_t at_most) {
    std::string bytes(at_most, '\0');
    const auto received = receive_into(bytes);
    if (!received) return std::nullopt;
    bytes.resize(*received);
    return bytes;
  }
  // 0 at the end of the stream; none at an error or the deadline.
  std::optional<std::size_t> receive_into(std::span<char> space) {
    pollfd waiting = {.fd = socket_, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, kDeadline_ms) <= 0) return std::nullopt;
    const ssize_t received = recv(socket_, space.data(), space.size(), 0);
    if (received < 0) return std::nullopt;
    return static_cast<std::size_t>(received);
  }

  int socket_;
};

inline std::string request_frame(std::uint64_t id, std::string_view job, std::string_view payload,
                                 std::uint32_t timeout_ms = 0) {
  std::string frame;
  append_request(id, job, payload, timeout_ms, Priority::normal, frame);
  return frame;
}

}  // namespace evpool
