#include "bench/closed_loop.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "client/client.h"
#include "client/transport.h"
#include "protocol/frame.h"
#include "protocol/frame_splitter.h"

namespace evpool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kReceiveBytes = std::size_t{256} << 10U;
constexpr std::chrono::milliseconds kTick{10};  // how often timeouts are looked for

[[noreturn]] void fail(std::string_view what) {
  throw std::runtime_error(
      fmt::format("{}: {}", what, std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
}

// Payloads that differ from request to request, so that a reply to another one is seen, and that
// cost nothing to make: windows into one text.
class Payloads {
 public:
  explicit Payloads(const ClosedLoopOptions& options) : bytes_(options.payload_bytes) {
    for (std::size_t i = 0; i < bytes_ + kLetters; ++i) {
      request_ += static_cast<char>('a' + i % kLetters);
      upper_ += static_cast<char>('A' + i % kLetters);
    }
    if (options.job == "upper") expected_ = &upper_;
    if (options.job == "echo") expected_ = &request_;
  }

  [[nodiscard]] std::string_view request(std::uint64_t id) const { return window(request_, id); }
  [[nodiscard]] bool is_right(std::uint64_t id, std::string_view reply) const {
    return expected_ == nullptr || reply == window(*expected_, id);
  }

 private:
  static constexpr std::size_t kLetters = 26;

  [[nodiscard]] std::string_view window(const std::string& text, std::uint64_t id) const {
    return std::string_view(text).substr(id % kLetters, bytes_);
  }

  const std::size_t bytes_;
  std::string request_;
  std::string upper_;
  const std::string* expected_ = nullptr;
};

class ClosedLoop {
 public:
  explicit ClosedLoop(const ClosedLoopOptions& options)
      : options_(options), payloads_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) fail("cannot create an epoll descriptor");
  }
  ~ClosedLoop() { close(epoll_); }
  ClosedLoop(const ClosedLoop&) = delete;
  ClosedLoop& operator=(const ClosedLoop&) = delete;

  ClosedLoopResult run() {
    connect_all();
    warm_until_ = Clock::now() + options_.warm_up;
    send_until_ = warm_until_ + options_.duration;
    last_reply_ = warm_until_;
    now_ = Clock::now();
    for (auto& connection : connections_) {
      for (std::size_t slot = 0; slot < options_.in_flight; ++slot) start(*connection, slot);
      flush(*connection);
    }
    const auto give_up = send_until_ + options_.timeout + kTick;
    auto next_tick = now_ + kTick;
    while (unanswered_ > 0 && now_ < give_up) {
      poll_once();
      if (now_ >= next_tick) {
        expire();
        next_tick = now_ + kTick;
      }
    }
    for (const auto& connection : connections_) {
      for (const Slot& slot : connection->slots) result_.lost += slot.busy && is_measured(slot);
    }
    result_.seconds = std::chrono::duration<double>(last_reply_ - warm_until_).count();
    return result_;
  }

 private:
  struct Slot {
    std::uint64_t id = 0;
    Clock::time_point sent_at;
    bool busy = false;
  };
  struct Connection {
    Connection(const ClosedLoopOptions& options)
        : socket(options.server, options.udp, options.timeout),
          splitter(UINT32_MAX),
          slots(options.in_flight) {}

    ClientSocket socket;
    FrameSplitter splitter;
    std::vector<Slot> slots;
    std::string unsent;
    std::size_t sent_bytes = 0;  // of unsent
    bool wants_writable = false;
  };

  void connect_all() {
    for (std::size_t i = 0; i < options_.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(options_));
      Connection* const connection = connections_.back().get();
      epoll_event event = {.events = EPOLLIN, .data = {.ptr = connection}};
      if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->socket.get(), &event) != 0) {
        fail("cannot watch a socket");
      }
    }
  }

  [[nodiscard]] bool is_measured(const Slot& slot) const { return slot.sent_at >= warm_until_; }

  // Queues the slot's next request, unless the time is over.
  void start(Connection& connection, std::size_t index) {
    if (now_ >= send_until_) return;
    Slot& slot = connection.slots[index];
    // The id names its slot, so that a reply finds it without a search.
    slot = {.id = next_sequence_++ * options_.in_flight + index, .sent_at = now_, .busy = true};
    ++unanswered_;
    result_.sent += is_measured(slot);
    if (options_.udp) connection.unsent.clear();
    append_request(slot.id, options_.job, payloads_.request(slot.id),
                   static_cast<std::uint32_t>(options_.timeout.count()), Priority::normal,
                   connection.unsent);
    // What the kernel does not take is lost, and is counted when its time is over.
    if (options_.udp) {
      const ssize_t sent = send(connection.socket.get(), connection.unsent.data(),
                                connection.unsent.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == ECONNREFUSED) fail("lost a connection");
      connection.unsent.clear();
    }
  }

  void flush(Connection& connection) {
    while (connection.sent_bytes < connection.unsent.size()) {
      const ssize_t sent = send(connection.socket.get(), &connection.unsent[connection.sent_bytes],
                                connection.unsent.size() - connection.sent_bytes, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno != EAGAIN) fail("lost a connection");
      if (sent < 0) break;
      connection.sent_bytes += static_cast<std::size_t>(sent);
    }
    watch_writable(connection, connection.sent_bytes < connection.unsent.size());
    // What has been sent is given up once it is the larger part, so that each byte moves once.
    if (connection.sent_bytes * 2 >= connection.unsent.size()) {
      connection.unsent.erase(0, std::exchange(connection.sent_bytes, 0));
    }
  }

  void watch_writable(Connection& connection, bool wanted) {
    if (connection.wants_writable == wanted) return;
    connection.wants_writable = wanted;
    epoll_event event = {.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN,
                         .data = {.ptr = &connection}};
    if (epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.socket.get(), &event) != 0) {
      fail("cannot watch a socket");
    }
  }

  void poll_once() {
    std::array<epoll_event, 64> events;
    const int ready =
        epoll_wait(epoll_, events.data(), events.size(), static_cast<int>(kTick.count()));
    if (ready < 0 && errno != EINTR) fail("cannot wait for replies");
    now_ = Clock::now();
    for (int i = 0; i < ready; ++i) {
      auto& connection = *static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr);
      receive(connection);
      flush(connection);
    }
  }

  void receive(Connection& connection) {
    for (;;) {
      const std::span<char> body = connection.splitter.body_space();
      const std::span<char> space = body.empty() ? std::span<char>(receive_buffer_) : body;
      const ssize_t received = recv(connection.socket.get(), space.data(), space.size(), 0);
      if (received < 0) {
        if (errno == EAGAIN || errno == EINTR) return;
        fail("lost a connection");
      }
      now_ = Clock::now();
      const auto bytes = static_cast<std::size_t>(received);
      if (options_.udp) {
        Frame frame;
        if (decode_datagram({space.data(), bytes}, frame) == FrameError::none) {
          take_reply(connection, frame);
        }
        continue;
      }
      if (bytes == 0) throw std::runtime_error("the server closed a connection");
      if (body.empty()) {
        connection.splitter.push({space.data(), bytes});
      } else {
        connection.splitter.body_received(bytes);
      }
      take_replies(connection);
      if (bytes < space.size()) return;
    }
  }

  void take_replies(Connection& connection) {
    for (;;) {
      switch (connection.splitter.next(frame_)) {
        case FrameSplitter::Item::need_more:
          return;
        case FrameSplitter::Item::frame:
          take_reply(connection, frame_);
          break;
        case FrameSplitter::Item::oversize:
        case FrameSplitter::Item::malformed:
          throw std::runtime_error(fmt::format("the server does not speak evpool's protocol: {}",
                                               explain(connection.splitter.error())));
      }
    }
  }

  void take_reply(Connection& connection, const Frame& frame) {
    if (frame.header.type != FrameType::reply) return;
    const std::size_t index = frame.header.id % options_.in_flight;
    Slot& slot = connection.slots[index];
    if (!slot.busy || slot.id != frame.header.id) return;  // late: it has been counted as lost
    slot.busy = false;
    --unanswered_;
    if (is_measured(slot)) count(slot, frame);
    start(connection, index);
  }

  void count(const Slot& slot, const Frame& frame) {
    last_reply_ = now_;
    if (frame.header.status != Status::ok) {
      ++result_.refused;
    } else if (!payloads_.is_right(slot.id, frame.payload)) {
      ++result_.wrong;
    } else {
      ++result_.ok;
      result_.latency.record(static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(now_ - slot.sent_at).count()));
    }
  }

  void expire() {
    for (const auto& connection : connections_) {
      for (std::size_t index = 0; index < connection->slots.size(); ++index) {
        Slot& slot = connection->slots[index];
        if (!slot.busy || now_ - slot.sent_at < options_.timeout) continue;
        slot.busy = false;
        --unanswered_;
        result_.lost += is_measured(slot);
        start(*connection, index);
      }
      flush(*connection);
    }
  }

  const ClosedLoopOptions& options_;
  const Payloads payloads_;
  const int epoll_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<char> receive_buffer_ = std::vector<char>(kReceiveBytes);
  Frame frame_;

  Clock::time_point now_;
  Clock::time_point warm_until_;
  Clock::time_point send_until_;
  Clock::time_point last_reply_;
  std::uint64_t next_sequence_ = 0;
  std::size_t unanswered_ = 0;
  ClosedLoopResult result_;
};

}  // namespace

ClosedLoopResult run_closed_loop(const ClosedLoopOptions& options) {
  return ClosedLoop(options).run();
}

}  // namespace evpool
