// A relay of the test's own between a client's UDP socket and a server, which loses, doubles,
// reorders and damages datagrams, and knows which: one thread, one client, a free port of
// 127.0.0.1.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "protocol/address.h"
#include "protocol/frame.h"
#include "tests/unit/bench/stoppable_thread.h"
#include "tests/unit/client/fake_server.h"

namespace evpool {

class LossyRelay {
 public:
  // What happens to a request or to its reply; to each request one thing at most, so that the
  // numbers of each add up.
  enum Fate : std::uint8_t {
    untouched,
    request_dropped,
    request_doubled,
    request_delayed,  // until the next request has passed
    reply_dropped,
    reply_doubled,
    reply_delayed,    // until the next reply has passed
    reply_corrupted,  // a bit of its payload
    reply_misnamed,   // a bit of its id
    kFates
  };
  // Each fate's share of the requests; the rest is untouched. The last of `requests` is dropped, so
  // that the client still waits when everything else has come.
  struct Plan {
    std::array<double, kFates> shares{};
    std::size_t requests = 0;
    std::uint64_t seed = 1;
  };

  LossyRelay(const Address& server, const Plan& plan)
      : plan_(plan),
        random_(plan.seed),
        client_side_(Transport::udp),
        server_side_(Transport::udp) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(server.port);
    BoundSocket::check(
        ::connect(server_side_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)),
        "connect");
    for (const int descriptor : {client_side_.get(), server_side_.get()}) {
      const int buffer_bytes = 1 << 20;
      ::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
    }
    thread_.start([this] { run(); });
  }
  LossyRelay(const LossyRelay&) = delete;
  LossyRelay& operator=(const LossyRelay&) = delete;

  [[nodiscard]] const Address& address() const { return client_side_.address(); }

  void stop() { thread_.stop(); }

  // Requests that met with it. REQUIRES: stopped.
  [[nodiscard]] std::uint64_t count(Fate fate) const { return counts_.at(fate); }

 private:
  static constexpr int kLongestDelay_ms = 10;

  void run() {
    for (;;) {
      std::array<pollfd, 3> waiting = {
          {thread_.end(),
           {.fd = client_side_.get(), .events = POLLIN, .revents = 0},
           {.fd = server_side_.get(), .events = POLLIN, .revents = 0}}};
      const bool delays = delayed_request_.has_value() || delayed_reply_.has_value();
      const int ready = ::poll(waiting.data(), waiting.size(), delays ? kLongestDelay_ms : -1);
      if (ready == 0) {  // nothing has overtaken them
        release(delayed_request_, [this](const std::string& one) { to_server(one); });
        release(delayed_reply_, [this](const std::string& one) { to_client(one); });
      }
      if (waiting[0].revents != 0) return;
      if (waiting[1].revents != 0) take_request();
      if (waiting[2].revents != 0) take_reply();
    }
  }

  Fate pick() {
    if (++requests_ == plan_.requests) return request_dropped;
    double at = std::uniform_real_distribution<double>(0, 1)(random_);
    for (std::uint8_t fate = untouched + 1; fate < kFates; ++fate) {
      at -= plan_.shares.at(fate);
      if (at < 0) return static_cast<Fate>(fate);
    }
    return untouched;
  }

  void take_request() {
    socklen_t size = sizeof(client_);
    const ssize_t got = ::recvfrom(client_side_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT,
                                   reinterpret_cast<sockaddr*>(&client_), &size);
    if (got < 0) return;
    const std::string request(buffer_.data(), static_cast<std::size_t>(got));
    const Fate fate = pick();
    ++counts_.at(fate);
    EXPECT_TRUE(fates_.emplace(id_of(request), fate).second) << "an id was used twice";
    if (fate == request_dropped) return;
    if (fate == request_delayed && !delayed_request_) {
      delayed_request_ = request;
      return;
    }
    to_server(request);
    if (fate == request_doubled) to_server(request);
    release(delayed_request_, [this](const std::string& one) { to_server(one); });
  }

  void take_reply() {
    const ssize_t got = ::recv(server_side_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0) return;
    std::string reply(buffer_.data(), static_cast<std::size_t>(got));
    const Fate fate = fates_.at(id_of(reply));
    if (fate == reply_dropped) return;
    if (fate == reply_corrupted) flip_a_bit(reply, kFrameHeaderBytes, reply.size());
    if (fate == reply_misnamed) flip_a_bit(reply, kIdAt, kIdAt + sizeof(std::uint64_t));
    if (fate == reply_delayed && !delayed_reply_) {
      delayed_reply_ = reply;
      return;
    }
    to_client(reply);
    if (fate == reply_doubled) to_client(reply);
    release(delayed_reply_, [this](const std::string& one) { to_client(one); });
  }

  void flip_a_bit(std::string& datagram, std::size_t from, std::size_t until) {
    ASSERT_LT(from, until);
    const auto at = std::uniform_int_distribution<std::size_t>(from, until - 1)(random_);
    const auto bit = std::uniform_int_distribution<unsigned>(0, 7)(random_);
    datagram[at] = static_cast<char>(static_cast<unsigned char>(datagram[at]) ^ (1U << bit));
  }

  static std::uint64_t id_of(std::string_view datagram) {
    FrameHeader header;
    EXPECT_EQ(decode_header(datagram, header), FrameError::none);
    return header.id;
  }

  template <typename Send>
  void release(std::optional<std::string>& delayed, const Send& send) {
    if (delayed) send(*delayed);
    delayed.reset();
  }

  void to_server(const std::string& datagram) const {
    EXPECT_EQ(::send(server_side_.get(), datagram.data(), datagram.size(), 0),
              static_cast<ssize_t>(datagram.size()));
  }
  void to_client(const std::string& datagram) const {
    EXPECT_EQ(::sendto(client_side_.get(), datagram.data(), datagram.size(), 0,
                       reinterpret_cast<const sockaddr*>(&client_), sizeof(client_)),
              static_cast<ssize_t>(datagram.size()));
  }

  // In a frame's header: docs/protocol.md.
  static constexpr std::size_t kIdAt = 8;

  const Plan plan_;
  std::mt19937_64 random_;
  const BoundSocket client_side_;
  const BoundSocket server_side_;
  // Of the thread.
  sockaddr_in client_{};
  std::size_t requests_ = 0;
  std::unordered_map<std::uint64_t, Fate> fates_;  // by id
  std::array<std::uint64_t, kFates> counts_{};
  std::optional<std::string> delayed_request_;
  std::optional<std::string> delayed_reply_;
  std::vector<char> buffer_ = std::vector<char>(std::size_t{64} << 10U);
  StoppableThread thread_;
};

}  // namespace evpool
