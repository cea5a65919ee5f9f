#include "client/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <optional>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

#include "client/poll_until.h"
#include "client/transport.h"
#include "protocol/duration.h"
#include "protocol/frame.h"
#include "protocol/frame_splitter.h"

namespace evpool {
namespace {

using Clock = std::chrono::steady_clock;

// The first retransmission of an idempotent datagram; each further one waits twice as long. RFC
// 8085, section 3.1.1, asks for a second where the round trip is not known; evpool serves local
// networks, where a fifth of it is still a hundred round trips.
constexpr std::chrono::milliseconds kFirstRetry{200};
// Unsent bytes above this make send() wait for the server to take some.
constexpr std::size_t kMaxUnsentBytes = std::size_t{256} << 10U;
// What a frame's 32 bits of milliseconds hold.
constexpr std::chrono::milliseconds kShortestTimeout{0};
constexpr std::chrono::milliseconds kLongestTimeout{UINT32_MAX};
constexpr std::size_t kReceiveBytes = std::size_t{64} << 10U;

// A frame's 0 would mean that there is none.
std::uint32_t timeout_on_wire(std::chrono::milliseconds timeout) {
  return static_cast<std::uint32_t>(std::max<std::chrono::milliseconds::rep>(timeout.count(), 1));
}

std::uint64_t random_id() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

std::string explain_errno(int error) {
  return std::strerror(error);  // NOLINT(concurrency-mt-unsafe): glibc's is
}

}  // namespace

class Client::Implementation {
 public:
  Implementation(const Address& server, const ClientOptions& options)
      : options_(options),
        name_((options.udp ? "udp " : "tcp ") + to_string(server)),
        socket_(server, options.udp, options.connect_timeout),
        max_datagram_bytes_(socket_.is_loopback() ? kMaxDatagramBytes : kMaxRemoteDatagramBytes),
        splitter_(options.max_reply_bytes),
        receive_buffer_(kReceiveBytes) {}

  RequestId send(std::string_view job, std::string_view payload, const CallOptions& options) {
    if (job.empty() || job.size() > kMaxJobNameBytes) {
      throw std::invalid_argument("a job name has 1 to " + std::to_string(kMaxJobNameBytes) +
                                  " bytes, this one " + std::to_string(job.size()));
    }
    const std::size_t frame_bytes = kFrameHeaderBytes + job.size() + payload.size();
    if (options_.udp ? frame_bytes > max_datagram_bytes_ : payload.size() > UINT32_MAX) {
      throw std::invalid_argument("a payload of " + std::to_string(payload.size()) +
                                  (options_.udp ? " bytes does not fit a datagram; use TCP"
                                                : " bytes does not fit a frame"));
    }
    const auto timeout = std::clamp(options.timeout, kShortestTimeout, kLongestTimeout);
    const RequestId id = next_id_++;
    std::string frame;
    frame.reserve(frame_bytes);
    append_request(id, job, payload, timeout_on_wire(timeout), options.priority, frame);
    start(id, std::move(frame), timeout, options.idempotent);
    return id;
  }

  RequestId send_ping(std::chrono::milliseconds timeout) {
    const RequestId id = next_id_++;
    std::string frame;
    append_header({.type = FrameType::ping, .id = id}, frame);
    start(id, std::move(frame), std::clamp(timeout, kShortestTimeout, kLongestTimeout), true);
    return id;
  }

  bool ready(RequestId id) {
    if (!results_.contains(id) && !lost_) pump(Clock::now());
    if (results_.contains(id) || lost_) return true;
    const auto pending = pending_.find(id);
    return pending != pending_.end() && Clock::now() >= pending->second.deadline;
  }

  CallResult wait(RequestId id) {
    // What has already arrived counts, however late the caller comes for it.
    static_cast<void>(ready(id));
    for (;;) {
      if (const auto result = results_.find(id); result != results_.end()) {
        CallResult taken = std::move(result->second);
        results_.erase(result);
        return taken;
      }
      const auto pending = pending_.find(id);
      assert(pending != pending_.end() && "wait() takes an id of send(), once");
      if (lost_) {
        pending_.erase(pending);
        return *lost_;
      }
      if (Clock::now() >= pending->second.deadline) {
        CallResult late = timed_out(pending->second.timeout);
        pending_.erase(pending);
        return late;
      }
      pump(pending->second.deadline);
    }
  }

 private:
  struct Pending {
    Clock::time_point deadline;
    std::chrono::milliseconds timeout;
    // A datagram that may be sent again; otherwise empty.
    std::string datagram;
    Clock::time_point retry_at;
    std::chrono::milliseconds retry_interval;
  };

  void start(RequestId id, std::string frame, std::chrono::milliseconds timeout, bool idempotent) {
    const auto deadline = Clock::now() + timeout;
    while (!lost_ && pending_.size() >= options_.max_in_flight && Clock::now() < deadline) {
      pump(deadline);
    }
    if (!lost_ && pending_.size() >= options_.max_in_flight) {
      results_.emplace(id, timed_out(timeout));  // without having been sent
      return;
    }
    Pending& pending = pending_[id];
    pending = {.deadline = deadline,
               .timeout = timeout,
               .datagram = {},
               .retry_at = Clock::time_point::max(),
               .retry_interval = kFirstRetry};
    if (lost_) return;
    if (options_.udp) {
      send_datagram(frame);
      if (idempotent) {
        pending.datagram = std::move(frame);
        pending.retry_at = Clock::now() + pending.retry_interval;
      }
      return;
    }
    unsent_ += frame;
    send_unsent();
    while (!lost_ && unsent_.size() - sent_bytes_ > kMaxUnsentBytes && Clock::now() < deadline) {
      pump(deadline);
    }
  }

  // Sends and receives what can be, waiting for something to happen until `deadline` at most.
  void pump(Clock::time_point deadline) {
    const bool unsent = sent_bytes_ < unsent_.size();
    pollfd waiting = {.fd = socket_.get(),
                      .events = static_cast<short>(unsent ? POLLIN | POLLOUT : POLLIN),
                      .revents = 0};
    const int ready = poll_until(waiting, std::min(deadline, next_retry()));
    if (ready > 0 && (waiting.revents & ~POLLOUT) != 0) receive();
    if (ready > 0 && (waiting.revents & POLLOUT) != 0 && !lost_) send_unsent();
    if (options_.udp && !lost_) retry();
  }

  void receive() {
    while (!lost_) {
      const std::span<char> body = splitter_.body_space();
      const std::span<char> space = body.empty() ? std::span<char>(receive_buffer_) : body;
      const ssize_t received = recv(socket_.get(), space.data(), space.size(), 0);
      if (received < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) lose(explain_errno(errno));
        return;
      }
      const auto bytes = static_cast<std::size_t>(received);
      if (options_.udp) {
        take_datagram({space.data(), bytes});
        continue;
      }
      if (bytes == 0) {
        lose("the server closed the connection");
        return;
      }
      if (body.empty()) {
        splitter_.push({space.data(), bytes});
      } else {
        splitter_.body_received(bytes);
      }
      take_frames();
      if (bytes < space.size()) return;
    }
  }

  void take_frames() {
    Frame frame;
    for (;;) {
      switch (splitter_.next(frame)) {
        case FrameSplitter::Item::need_more:
          return;
        case FrameSplitter::Item::frame:
          take_answer(std::move(frame));
          break;
        case FrameSplitter::Item::oversize:
          finish(frame.header.id, over_limit(frame.header));
          break;
        case FrameSplitter::Item::no_memory:
          finish(frame.header.id,
                 {.state = CallState::replied,
                  .status = Status::too_large,
                  .payload = "there is no memory for the reply of " +
                             std::to_string(frame.header.payload_bytes) + " bytes"});
          break;
        case FrameSplitter::Item::malformed:
          end({.state = CallState::protocol_error,
               .payload = name_ + " does not speak evpool's protocol: " +
                          std::string(explain(splitter_.error()))});
          return;
      }
    }
  }

  // What is no answer of ours may come from anywhere, and is passed over.
  void take_datagram(std::string_view datagram) {
    Frame frame;
    if (decode_datagram(datagram, frame) == FrameError::none) take_answer(std::move(frame));
  }

  void take_answer(Frame&& frame) {
    const bool answer =
        frame.header.type == FrameType::reply || frame.header.type == FrameType::pong;
    if (!answer) return;
    if (frame.payload.size() > options_.max_reply_bytes) {
      finish(frame.header.id, over_limit(frame.header));
      return;
    }
    finish(frame.header.id, {.state = CallState::replied,
                             .status = frame.header.status,
                             .payload = std::move(frame.payload)});
  }

  [[nodiscard]] static CallResult over_limit(const FrameHeader& reply) {
    return {.state = CallState::replied,
            .status = Status::too_large,
            .payload = "the reply of " + std::to_string(reply.payload_bytes) +
                       " bytes is over this client's limit"};
  }

  [[nodiscard]] CallResult timed_out(std::chrono::milliseconds timeout) const {
    return {.state = CallState::timed_out,
            .payload = "no reply from " + name_ + " within " + to_string(timeout)};
  }

  // An id that is not pending is a late reply, or a datagram's second one.
  void finish(RequestId id, CallResult result) {
    if (pending_.erase(id) > 0) results_.emplace(id, std::move(result));
  }

  void send_unsent() {
    while (sent_bytes_ < unsent_.size()) {
      const ssize_t sent =
          ::send(socket_.get(), &unsent_[sent_bytes_], unsent_.size() - sent_bytes_, MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) break;
        const int error = errno;
        receive();  // the server's last words may explain it
        if (!lost_) lose(explain_errno(error));
        return;
      }
      sent_bytes_ += static_cast<std::size_t>(sent);
    }
    // What has been sent is given up once it is the larger part, so that each byte moves once.
    if (sent_bytes_ * 2 < unsent_.size()) return;
    unsent_.erase(0, std::exchange(sent_bytes_, 0));
  }

  // A datagram that the kernel does not take is lost like any other, unless nobody is there.
  void send_datagram(const std::string& datagram) {
    const ssize_t sent = ::send(socket_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == ECONNREFUSED) lose(explain_errno(ECONNREFUSED));
  }

  [[nodiscard]] Clock::time_point next_retry() const {
    auto next = Clock::time_point::max();
    if (!options_.udp) return next;
    for (const auto& [id, pending] : pending_) next = std::min(next, pending.retry_at);
    return next;
  }

  void retry() {
    const auto now = Clock::now();
    for (auto& [id, pending] : pending_) {
      if (now < pending.retry_at || lost_) continue;
      if (now >= pending.deadline) {
        pending.retry_at = Clock::time_point::max();
        continue;
      }
      send_datagram(pending.datagram);
      pending.retry_interval *= 2;
      pending.retry_at = now + pending.retry_interval;
    }
  }

  void lose(const std::string& why) {
    end({.state = CallState::connection_lost, .payload = "lost " + name_ + ": " + why});
  }

  // From now on every request ends with this.
  void end(CallResult result) {
    lost_ = std::move(result);
    shutdown(socket_.get(), SHUT_RDWR);
  }

  const ClientOptions options_;
  const std::string name_;  // "tcp 127.0.0.1:6666"
  const ClientSocket socket_;
  const std::size_t max_datagram_bytes_;

  // Random, so that a late reply to an earlier client of the same port matches nothing.
  RequestId next_id_ = random_id();
  std::unordered_map<RequestId, Pending> pending_;     // not yet answered
  std::unordered_map<RequestId, CallResult> results_;  // answered, and not yet waited for
  std::optional<CallResult> lost_;

  std::string unsent_;
  std::size_t sent_bytes_ = 0;  // of unsent_
  FrameSplitter splitter_;
  std::vector<char> receive_buffer_;
};

Client::Client(const Address& server, const ClientOptions& options)
    : implementation_(std::make_unique<Implementation>(server, options)) {}

Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

CallResult Client::call(std::string_view job, std::string_view payload,
                        const CallOptions& options) {
  return wait(send(job, payload, options));
}

Client::RequestId Client::send(std::string_view job, std::string_view payload,
                               const CallOptions& options) {
  return implementation_->send(job, payload, options);
}

bool Client::ready(RequestId id) { return implementation_->ready(id); }

CallResult Client::wait(RequestId id) { return implementation_->wait(id); }

CallResult Client::ping(std::chrono::milliseconds timeout) {
  return wait(implementation_->send_ping(timeout));
}

}  // namespace evpool
