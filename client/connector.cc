#include "client/connector.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "client/poll_until.h"
#include "client/random_id.h"
#include "protocol/frame.h"

namespace evpool {
namespace {

using Clock = std::chrono::steady_clock;

// A ping that was lost is sent again after this time, then after twice as long.
constexpr std::chrono::milliseconds kFirstPingAgain{200};

std::vector<SocketAddress> with_families_in_turn(const std::vector<SocketAddress>& addresses) {
  std::vector<SocketAddress> first;
  std::vector<SocketAddress> other;
  for (const SocketAddress& address : addresses) {
    (address.family() == addresses.front().family() ? first : other).push_back(address);
  }
  std::vector<SocketAddress> ordered;
  for (std::size_t i = 0; i < std::max(first.size(), other.size()); ++i) {
    if (i < first.size()) ordered.push_back(first[i]);
    if (i < other.size()) ordered.push_back(other[i]);
  }
  return ordered;
}

class Race {
 public:
  Race(const std::vector<SocketAddress>& addresses, bool udp)
      : addresses_(with_families_in_turn(addresses)), udp_(udp) {}
  ~Race() {
    for (const Attempt& attempt : attempts_) close(attempt.descriptor);
  }
  Race(const Race&) = delete;
  Race& operator=(const Race&) = delete;

  Connected run(Clock::time_point deadline) {
    auto next_begin = Clock::now();
    for (;;) {
      if (begun_ < addresses_.size() && (attempts_.empty() || Clock::now() >= next_begin)) {
        begin(addresses_[begun_++]);
        next_begin = Clock::now() + kConnectStagger;
      } else if (attempts_.empty()) {
        return {.error = error_};
      } else if (Clock::now() >= deadline) {
        return {.error = ETIMEDOUT};
      } else {
        auto until = begun_ < addresses_.size() ? std::min(deadline, next_begin) : deadline;
        for (const Attempt& attempt : attempts_) until = std::min(until, attempt.ping_again_at);
        // A refusal is not waited upon: the next address begins.
        if (!wait(until)) next_begin = Clock::now();
      }
      if (winner_ >= 0) return {.descriptor = std::exchange(winner_, -1)};
    }
  }

 private:
  struct Attempt {
    int descriptor = -1;
    std::uint64_t ping_id = 0;
    Clock::time_point ping_again_at = Clock::time_point::max();
    Clock::duration ping_interval = kFirstPingAgain;
  };
  enum class Progress : std::uint8_t { none, won, failed };

  void begin(const SocketAddress& address) {
    const int type = (udp_ ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const int descriptor = socket(address.family(), type, 0);
    if (descriptor < 0) {
      error_ = errno;  // perhaps there is no such family here, and the next address has another
      return;
    }
    attempts_.push_back({.descriptor = descriptor});
    Attempt& attempt = attempts_.back();
    if (connect(descriptor, address.get(), address.size) != 0 && errno != EINPROGRESS) {
      error_ = errno;
      give_up(attempts_.size() - 1);
    } else if (udp_ && addresses_.size() > 1) {
      attempt.ping_id = random_id();
      ping(attempt);
    } else if (udp_) {
      win(attempts_.size() - 1);
    }
  }

  // Waits for something to happen, and deals with it. False when an attempt has failed.
  bool wait(Clock::time_point until) {
    std::vector<pollfd> waiting;
    for (const Attempt& attempt : attempts_) {
      waiting.push_back({.fd = attempt.descriptor,
                         .events = static_cast<short>(udp_ ? POLLIN : POLLOUT),
                         .revents = 0});
    }
    bool all_go_on = true;
    const bool any = poll_until(waiting, until) > 0;
    for (std::size_t i = attempts_.size(); i-- > 0;) {
      const Progress progress = any && waiting[i].revents != 0
                                    ? (udp_ ? look_for_pong(attempts_[i]) : look(attempts_[i]))
                                    : Progress::none;
      if (progress == Progress::won) {
        win(i);
        return true;
      }
      if (progress == Progress::failed) {
        give_up(i);
        all_go_on = false;
      } else if (Clock::now() >= attempts_[i].ping_again_at) {
        ping(attempts_[i]);
      }
    }
    return all_go_on;
  }

  Progress look(const Attempt& attempt) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(attempt.descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) return Progress::won;
    error_ = error;
    return Progress::failed;
  }

  Progress look_for_pong(const Attempt& attempt) {
    std::array<char, 64> bytes;  // a pong is 24 long; a longer datagram is none
    const ssize_t got = recv(attempt.descriptor, bytes.data(), bytes.size(), 0);
    if (got < 0) {
      if (errno == EAGAIN || errno == EINTR) return Progress::none;
      error_ = errno;
      return Progress::failed;
    }
    FrameView frame;
    const std::string_view datagram(bytes.data(), static_cast<std::size_t>(got));
    const bool ours = decode_datagram(datagram, frame) == FrameError::none &&
                      frame.header.type == FrameType::pong && frame.header.id == attempt.ping_id;
    return ours ? Progress::won : Progress::none;
  }

  // One that the kernel does not take is lost like any other, and a refusal shows when receiving.
  static void ping(Attempt& attempt) {
    std::string frame;
    append_header({.type = FrameType::ping, .id = attempt.ping_id}, frame);
    static_cast<void>(send(attempt.descriptor, frame.data(), frame.size(), MSG_NOSIGNAL));
    attempt.ping_again_at = Clock::now() + attempt.ping_interval;
    attempt.ping_interval *= 2;
  }

  void win(std::size_t index) {
    winner_ = attempts_[index].descriptor;
    forget(index);
  }
  void give_up(std::size_t index) {
    close(attempts_[index].descriptor);
    forget(index);
  }
  void forget(std::size_t index) {
    attempts_.erase(attempts_.begin() + static_cast<std::ptrdiff_t>(index));
  }

  const std::vector<SocketAddress> addresses_;
  const bool udp_;
  std::size_t begun_ = 0;  // of addresses_
  std::vector<Attempt> attempts_;
  int winner_ = -1;
  int error_ = 0;  // of the attempt that failed last
};

}  // namespace

Connected connect_to_first(std::vector<SocketAddress> addresses, bool udp,
                           Clock::time_point deadline) {
  return Race(addresses, udp).run(deadline);
}

}  // namespace evpool
