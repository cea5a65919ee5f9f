// A server of the test's own that reads requests and answers them as the test says: a thread over
// plain sockets on a free port of 127.0.0.1, for any number of TCP connections, or UDP.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/address.h"
#include "protocol/frame.h"
#include "protocol/frame_splitter.h"
#include "tests/unit/bench/stoppable_thread.h"
#include "tests/unit/client/fake_server.h"

namespace evpool {

struct Answer {
  enum class Action : std::uint8_t { reply, drop, close };

  Action action = Action::reply;  // close: the connection; TCP only
  Status status = Status::ok;
  std::string payload = {};
  std::optional<std::uint64_t> id = {};  // when the reply is to another request
};

class AnsweringServer {
 public:
  // Called in the server's thread, for one request after another.
  using Handler = std::function<Answer(const Frame& request)>;

  AnsweringServer(bool udp, Handler handler)
      : udp_(udp), handler_(std::move(handler)), socket_(udp ? Transport::udp : Transport::tcp) {
    if (!udp) BoundSocket::check(::listen(socket_.get(), SOMAXCONN), "listen");
    thread_.start([this] { run(); });
  }
  AnsweringServer(const AnsweringServer&) = delete;
  AnsweringServer& operator=(const AnsweringServer&) = delete;

  [[nodiscard]] const Address& address() const { return socket_.address(); }

  // Ends the thread when it has answered every datagram that has arrived. What the handler has
  // written may be read then.
  void stop() { thread_.stop(); }

  // Requests answered or dropped, without pings. REQUIRES: stopped.
  [[nodiscard]] std::uint64_t requests() const { return requests_; }

 private:
  struct Connection {
    explicit Connection(int descriptor) : socket(descriptor) {}

    const Descriptor socket;
    FrameSplitter splitter{kDefaultMaxPayloadBytes};
  };

  void run() {
    for (;;) {
      std::vector<pollfd> waiting = {thread_.end(),
                                     {.fd = socket_.get(), .events = POLLIN, .revents = 0}};
      for (const auto& connection : connections_) {
        waiting.push_back({.fd = connection->socket.get(), .events = POLLIN, .revents = 0});
      }
      if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
      // From the last on, so that the indexes of the others stay right.
      for (std::size_t i = waiting.size(); i-- > 2;) {
        if (waiting[i].revents == 0 || serve(*connections_[i - 2])) continue;
        connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(i - 2));
      }
      if (waiting[1].revents != 0) udp_ ? serve_datagrams() : accept();
      if (waiting[0].revents != 0) break;
    }
    if (udp_) serve_datagrams();
    connections_.clear();
  }

  void accept() {
    const int descriptor = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor >= 0) connections_.push_back(std::make_unique<Connection>(descriptor));
  }

  // False at the connection's end.
  bool serve(Connection& connection) {
    const ssize_t got = ::recv(connection.socket.get(), buffer_.data(), buffer_.size(), 0);
    if (got <= 0) return false;
    connection.splitter.push({buffer_.data(), static_cast<std::size_t>(got)});
    std::string replies;
    Frame request;
    for (;;) {
      switch (connection.splitter.next(request)) {
        case FrameSplitter::Item::need_more:
          return send(connection, replies);
        case FrameSplitter::Item::frame:
          break;
        case FrameSplitter::Item::oversize:
        case FrameSplitter::Item::no_memory:
        case FrameSplitter::Item::malformed:
          ADD_FAILURE() << "no request";
          return false;
      }
      if (!answer(request, replies)) return false;
    }
  }

  static bool send(const Connection& connection, const std::string& bytes) {
    std::size_t sent_bytes = 0;
    while (sent_bytes < bytes.size()) {
      const ssize_t sent = ::send(connection.socket.get(), &bytes[sent_bytes],
                                  bytes.size() - sent_bytes, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      sent_bytes += static_cast<std::size_t>(sent);
    }
    return true;
  }

  void serve_datagrams() {
    for (;;) {
      sockaddr_in peer{};
      socklen_t size = sizeof(peer);
      auto* const from = reinterpret_cast<sockaddr*>(&peer);
      const ssize_t got =
          ::recvfrom(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT, from, &size);
      if (got < 0) return;
      Frame request;
      EXPECT_EQ(decode_datagram({buffer_.data(), static_cast<std::size_t>(got)}, request),
                FrameError::none);
      std::string reply;
      if (!answer(request, reply) || reply.empty()) continue;
      EXPECT_EQ(::sendto(socket_.get(), reply.data(), reply.size(), 0, from, size),
                static_cast<ssize_t>(reply.size()));
    }
  }

  // False when the connection is to be closed.
  bool answer(const Frame& request, std::string& replies) {
    if (request.header.type == FrameType::ping) {
      append_header({.type = FrameType::pong, .id = request.header.id}, replies);
      return true;
    }
    EXPECT_EQ(request.header.type, FrameType::request);
    ++requests_;
    const Answer answer = handler_(request);
    if (answer.action == Answer::Action::close) return false;
    if (answer.action == Answer::Action::drop) return true;
    append_reply_header(answer.id.value_or(request.header.id), answer.status,
                        static_cast<std::uint32_t>(answer.payload.size()), replies);
    replies += answer.payload;
    return true;
  }

  const bool udp_;
  const Handler handler_;
  const BoundSocket socket_;                              // the listener, or the UDP socket
  std::vector<std::unique_ptr<Connection>> connections_;  // of the thread, and the two below
  std::vector<char> buffer_ = std::vector<char>(std::size_t{256} << 10U);
  std::uint64_t requests_ = 0;
  StoppableThread thread_;
};

}  // namespace evpool
