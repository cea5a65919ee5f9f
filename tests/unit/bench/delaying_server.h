// A server of the test's own that keeps each reply back for as long as the test says, and records
// how long that really was: one thread over plain sockets on a free port of 127.0.0.1, for any
// number of TCP connections, or UDP. It answers in upper case.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "protocol/address.h"
#include "protocol/frame.h"
#include "protocol/frame_splitter.h"
#include "tests/unit/bench/stoppable_thread.h"
#include "tests/unit/client/fake_server.h"

namespace evpool {

class DelayingServer {
 public:
  using Clock = std::chrono::steady_clock;
  // Of the request with this index, from 0 on. Called in the server's thread.
  using DelayOf = std::function<std::chrono::nanoseconds(std::size_t index)>;

  DelayingServer(bool udp, DelayOf delay_of)
      : udp_(udp), delay_of_(std::move(delay_of)), socket_(udp ? Transport::udp : Transport::tcp) {
    const int buffer_bytes = 1 << 20;
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    if (!udp) BoundSocket::check(::listen(socket_.get(), SOMAXCONN), "listen");
    thread_.start([this] { run(); });
  }
  DelayingServer(const DelayingServer&) = delete;
  DelayingServer& operator=(const DelayingServer&) = delete;

  [[nodiscard]] const Address& address() const { return socket_.address(); }

  // Replies that are still kept back are never sent.
  void stop() { thread_.stop(); }

  // What each reply sent was kept back, from after the request's receipt to before its sending:
  // less than any client can see. REQUIRES: stopped.
  [[nodiscard]] const std::vector<std::chrono::nanoseconds>& delays() const { return delays_; }
  // The most requests that were unanswered at once. REQUIRES: stopped.
  [[nodiscard]] std::size_t most_at_once() const { return most_at_once_; }
  [[nodiscard]] std::size_t requests() const { return requests_; }

 private:
  struct Connection {
    explicit Connection(int descriptor) : socket(descriptor) {}

    const Descriptor socket;
    FrameSplitter splitter{kDefaultMaxPayloadBytes};
  };
  struct Reply {
    Clock::time_point received = {};
    Clock::time_point due = {};
    std::string bytes = {};
    std::shared_ptr<Connection> connection = {};  // TCP
    sockaddr_in peer = {};                        // UDP

    bool operator<(const Reply& other) const { return due > other.due; }  // the earliest on top
  };

  void run() {
    for (;;) {
      std::vector<pollfd> waiting = {thread_.end(),
                                     {.fd = socket_.get(), .events = POLLIN, .revents = 0}};
      for (const auto& connection : connections_) {
        waiting.push_back({.fd = connection->socket.get(), .events = POLLIN, .revents = 0});
      }
      if (wait(waiting) < 0) continue;
      if (waiting[0].revents != 0) return;
      for (std::size_t i = waiting.size(); i-- > 2;) {
        if (waiting[i].revents == 0 || receive_stream(connections_[i - 2])) continue;
        connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(i - 2));
      }
      if (waiting[1].revents != 0) udp_ ? receive_datagrams() : accept();
      send_due();
    }
  }

  int wait(std::vector<pollfd>& waiting) const {
    if (replies_.empty()) return ::poll(waiting.data(), waiting.size(), -1);
    const auto left = std::max<Clock::duration>(replies_.top().due - Clock::now(), {});
    const timespec timeout = {.tv_sec = left / std::chrono::seconds(1),
                              .tv_nsec = (left % std::chrono::seconds(1)).count()};
    return ::ppoll(waiting.data(), waiting.size(), &timeout, nullptr);
  }

  void accept() {
    const int descriptor = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) return;
    // Otherwise the kernel keeps a reply back, too, until the one before it is acknowledged.
    const int on = 1;
    BoundSocket::check(::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)),
                       "setsockopt");
    connections_.push_back(std::make_shared<Connection>(descriptor));
  }

  // False at the connection's end.
  bool receive_stream(const std::shared_ptr<Connection>& connection) {
    const ssize_t got = ::recv(connection->socket.get(), buffer_.data(), buffer_.size(), 0);
    if (got <= 0) return false;
    connection->splitter.push({buffer_.data(), static_cast<std::size_t>(got)});
    Frame request;
    while (connection->splitter.next(request) == FrameSplitter::Item::frame) {
      keep(request, {.connection = connection});
    }
    return true;
  }

  void receive_datagrams() {
    for (;;) {
      Reply reply;
      socklen_t size = sizeof(reply.peer);
      const ssize_t got = ::recvfrom(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT,
                                     reinterpret_cast<sockaddr*>(&reply.peer), &size);
      if (got < 0) return;
      Frame request;
      EXPECT_EQ(decode_datagram({buffer_.data(), static_cast<std::size_t>(got)}, request),
                FrameError::none);
      keep(request, std::move(reply));
    }
  }

  void keep(Frame& request, Reply reply) {
    for (char& c : request.payload) {
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    append_reply_header(request.header.id, Status::ok,
                        static_cast<std::uint32_t>(request.payload.size()), reply.bytes);
    reply.bytes += request.payload;
    reply.received = Clock::now();
    reply.due = reply.received + delay_of_(requests_++);
    replies_.push(std::move(reply));
    most_at_once_ = std::max(most_at_once_, replies_.size());
  }

  void send_due() {
    while (!replies_.empty() && replies_.top().due <= Clock::now()) {
      const Reply& reply = replies_.top();
      delays_.push_back(Clock::now() - reply.received);
      if (udp_) {
        EXPECT_EQ(::sendto(socket_.get(), reply.bytes.data(), reply.bytes.size(), 0,
                           reinterpret_cast<const sockaddr*>(&reply.peer), sizeof(reply.peer)),
                  static_cast<ssize_t>(reply.bytes.size()));
      } else {  // small replies, which the kernel takes whole
        EXPECT_EQ(::send(reply.connection->socket.get(), reply.bytes.data(), reply.bytes.size(),
                         MSG_NOSIGNAL),
                  static_cast<ssize_t>(reply.bytes.size()));
      }
      replies_.pop();
    }
  }

  const bool udp_;
  const DelayOf delay_of_;
  const BoundSocket socket_;                              // the listener, or the UDP socket
  std::vector<std::shared_ptr<Connection>> connections_;  // of the thread, and all below
  std::vector<char> buffer_ = std::vector<char>(std::size_t{256} << 10U);
  std::priority_queue<Reply> replies_;
  std::vector<std::chrono::nanoseconds> delays_;
  std::size_t requests_ = 0;
  std::size_t most_at_once_ = 0;
  StoppableThread thread_;
};

}  // namespace evpool
