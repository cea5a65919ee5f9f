#include "client/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "client/datagram_budget.h"
#include "client/poll_until.h"
#include "client/random_id.h"
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
// System calls in a row to send or receive, after which the clock is looked at: a peer that takes
// or gives without end must not hold us beyond a deadline.
constexpr int kCallsInARow = 64;
// So many times as much is in a full receive buffer: a stream's has a few MiB (net.ipv4.tcp_rmem),
// one of kReceiveBufferBytes holds ten thousand small datagrams.
constexpr int kReceivesOfFullStream = 8;
constexpr int kReceivesOfFullDatagrams = 256;
constexpr std::size_t kSendBytes = std::size_t{1} << 20U;  // in one call
// Holds a few thousand small replies, or 32 of the largest.
constexpr std::size_t kReceiveBufferBytes = std::size_t{8} << 20U;
// How long to leave the kernel alone when it has no memory for a datagram.
constexpr std::chrono::milliseconds kNoBufferPause{1};

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
        budget_(options.udp ? socket_.ask_receive_buffer(kReceiveBufferBytes) : 0),
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
    return start_request(FrameType::reply, options.timeout, frame_bytes, options.idempotent,
                         [&](RequestId id, const Start& start, std::string& out) {
                           append_request(id, job, payload, left_on_wire(start), options.priority,
                                          out);
                         });
  }

  RequestId send_ping(std::chrono::milliseconds timeout) {
    return start_request(FrameType::pong, timeout, kFrameHeaderBytes, true,
                         [](RequestId id, const Start&, std::string& out) {
                           append_header({.type = FrameType::ping, .id = id}, out);
                         });
  }

  [[nodiscard]] bool has_room(std::size_t frame_bytes) const {
    return pending_.size() < options_.max_in_flight &&
           (!options_.udp || budget_.has_room(frame_bytes));
  }

  [[nodiscard]] std::size_t in_flight() const { return pending_.size(); }

  // What arrives while this looks does not count: there may be no end to it.
  bool arrived(RequestId id) {
    const int most = options_.udp ? kReceivesOfFullDatagrams : kReceivesOfFullStream;
    more_may_be_there_ = true;
    for (int i = 0; i < most && more_may_be_there_; ++i) {
      if (lost_ || results_.contains(id)) return true;
      pump(Clock::now());
    }
    return lost_ || results_.contains(id);
  }

  bool ready(RequestId id) {
    if (arrived(id)) return true;
    const auto pending = pending_.find(id);
    return pending != pending_.end() && Clock::now() >= pending->second.deadline;
  }

  CallResult wait(RequestId id, bool in_turn) {
    // What has already arrived counts, however late the caller comes for it.
    if (!results_.contains(id)) static_cast<void>(arrived(id));
    for (;;) {
      if (const auto result = results_.find(id); result != results_.end()) {
        CallResult taken = std::move(result->second);
        results_.erase(result);
        return taken;
      }
      const auto pending = pending_.find(id);
      assert(pending != pending_.end() && "wait() takes an id of send(), once");
      if (lost_) {
        remove(pending);
        return *lost_;
      }
      const Pending& request = pending->second;
      const auto deadline =
          in_turn ? std::max(request.deadline, last_end_ + request.timeout) : request.deadline;
      const auto now = Clock::now();
      if (now >= deadline) {
        CallResult late = timed_out({.begun_at = request.begun_at(), .timeout = request.timeout});
        remove(pending);
        last_end_ = now;
        return late;
      }
      pump(deadline);
    }
  }

 private:
  // When a request's time began, and how long it is.
  struct Start {
    Clock::time_point begun_at;
    std::chrono::milliseconds timeout;
    bool waited = false;  // for room
    bool has_room = true;

    [[nodiscard]] Clock::time_point deadline() const { return begun_at + timeout; }
  };

  struct Pending {
    FrameType answer = FrameType::reply;  // the type of frame that answers it
    Clock::time_point deadline;
    std::chrono::milliseconds timeout{0};
    std::size_t frame_bytes = 0;
    // While it may be sent again; otherwise empty.
    std::string datagram;
    Clock::time_point retry_at = Clock::time_point::max();
    std::chrono::milliseconds retry_interval = kFirstRetry;

    [[nodiscard]] Clock::time_point begun_at() const { return deadline - timeout; }
  };
  using PendingRequests = std::unordered_map<RequestId, Pending>;

  // Sends the frame that `append` makes, of frame_bytes, to be answered by a frame of this type.
  template <typename Append>
  RequestId start_request(FrameType answer, std::chrono::milliseconds timeout,
                          std::size_t frame_bytes, bool idempotent, Append append) {
    const RequestId id = next_id_++;
    const Start start = begin(timeout, frame_bytes);
    if (!start.has_room) {
      results_.emplace(id, timed_out(start));  // without having been sent
      return id;
    }
    std::string datagram;
    std::string& out = options_.udp ? datagram : unsent_;
    out.reserve(out.size() + frame_bytes);  // so that half a frame is never appended
    Pending& pending = add(id, answer, start, frame_bytes);
    append(id, start, out);
    pending.datagram = std::move(datagram);
    finish_start(pending, idempotent);
    return id;
  }

  // Waits until there is room for one more.
  Start begin(std::chrono::milliseconds timeout, std::size_t frame_bytes) {
    Start start{.begun_at = Clock::now(),
                .timeout = std::clamp(timeout, kShortestTimeout, kLongestTimeout)};
    while (!lost_ && !has_room(frame_bytes) && Clock::now() < start.deadline()) {
      start.waited = true;
      pump(start.deadline());
    }
    start.has_room = lost_.has_value() || has_room(frame_bytes);
    return start;
  }

  Pending& add(RequestId id, FrameType answer, const Start& start, std::size_t frame_bytes) {
    Pending& pending = pending_[id];
    budget_.sent(frame_bytes);
    pending.answer = answer;
    pending.deadline = start.deadline();
    pending.timeout = start.timeout;
    pending.frame_bytes = frame_bytes;
    return pending;
  }

  // Sends what has been appended for it.
  void finish_start(Pending& pending, bool idempotent) {
    if (options_.udp) {
      if (!lost_) send_datagram(pending.datagram, pending.deadline);
      if (idempotent && !lost_) {
        pending.retry_at = Clock::now() + pending.retry_interval;
      } else {
        pending.datagram = {};
      }
      return;
    }
    if (lost_) {
      unsent_.clear();
      sent_bytes_ = 0;
      return;
    }
    const auto deadline = pending.deadline;  // what is pumped may end the request
    send_unsent();
    while (!lost_ && unsent_.size() - sent_bytes_ > kMaxUnsentBytes && Clock::now() < deadline) {
      pump(deadline);
    }
  }

  void remove(PendingRequests::iterator request) {
    budget_.ended(request->second.frame_bytes);
    pending_.erase(request);
  }

  // What is left of the time, for the server: a frame's 0 would mean that there is no limit.
  [[nodiscard]] static std::uint32_t left_on_wire(const Start& start) {
    using std::chrono::milliseconds;
    const auto waited = start.waited
                            ? std::chrono::floor<milliseconds>(Clock::now() - start.begun_at)
                            : milliseconds(0);
    const auto left = std::max(start.timeout - waited, milliseconds(1));
    return static_cast<std::uint32_t>(left.count());
  }

  // Sends and receives what can be, waiting for something to happen until `deadline` at most.
  void pump(Clock::time_point deadline) {
    const bool unsent = sent_bytes_ < unsent_.size();
    pollfd waiting = {.fd = socket_.get(),
                      .events = static_cast<short>(unsent ? POLLIN | POLLOUT : POLLIN),
                      .revents = 0};
    const int ready = poll_until(waiting, std::min(deadline, next_retry()));
    more_may_be_there_ = false;
    if (ready > 0 && (waiting.revents & ~POLLOUT) != 0) receive();
    if (ready > 0 && (waiting.revents & POLLOUT) != 0 && !lost_) send_unsent();
    if (options_.udp && !lost_) retry();
  }

  void receive() {
    received_at_ = Clock::now();
    for (int call = 0; call < kCallsInARow && !lost_; ++call) {
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
    more_may_be_there_ = true;
  }

  void take_frames() {
    FrameView frame;
    for (;;) {
      switch (splitter_.next(frame)) {
        case FrameSplitter::Item::need_more:
          return;
        case FrameSplitter::Item::frame:
          take_answer(frame);
          break;
        case FrameSplitter::Item::oversize:
          finish(frame.header, over_limit(frame.header));
          break;
        case FrameSplitter::Item::no_memory:
          finish(frame.header, {.state = CallState::replied,
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
    FrameView frame;
    if (decode_datagram(datagram, frame) != FrameError::none) return;
    budget_.received(datagram.size());
    take_answer(frame);
  }

  void take_answer(const FrameView& frame) {
    if (frame.payload.size() > options_.max_reply_bytes) {
      finish(frame.header, over_limit(frame.header));
      return;
    }
    finish(frame.header, {.state = CallState::replied,
                          .status = frame.header.status,
                          .payload = frame.body != nullptr ? std::move(*frame.body)
                                                           : std::string(frame.payload)});
  }

  [[nodiscard]] static CallResult over_limit(const FrameHeader& reply) {
    return {.state = CallState::replied,
            .status = Status::too_large,
            .payload = "the reply of " + std::to_string(reply.payload_bytes) +
                       " bytes is over this client's limit"};
  }

  [[nodiscard]] CallResult timed_out(const Start& start) const {
    return {.state = CallState::timed_out,
            .payload = "no reply from " + name_ + " within " + to_string(start.timeout),
            .sent_at = start.begun_at,
            .ended_at = Clock::now()};
  }

  // A frame whose id is not pending is a late reply, or a datagram's second one. A pong answers no
  // request, and a reply no ping.
  void finish(const FrameHeader& answer, CallResult result) {
    const auto request = pending_.find(answer.id);
    if (request == pending_.end() || request->second.answer != answer.type) return;
    result.sent_at = request->second.begun_at();
    result.ended_at = last_end_ = received_at_;
    remove(request);
    results_.emplace(answer.id, std::move(result));
  }

  void send_unsent() {
    for (int call = 0; call < kCallsInARow && sent_bytes_ < unsent_.size(); ++call) {
      const std::size_t bytes = std::min(unsent_.size() - sent_bytes_, kSendBytes);
      const ssize_t sent = ::send(socket_.get(), &unsent_[sent_bytes_], bytes, MSG_NOSIGNAL);
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
    // Nor is the memory of a large payload kept.
    if (unsent_.empty() && unsent_.capacity() > kMaxUnsentBytes) unsent_.shrink_to_fit();
  }

  // Waits until the kernel has room, if need be. One that it refuses for another reason is lost
  // like any other, unless nobody is there.
  void send_datagram(const std::string& datagram, Clock::time_point deadline) {
    for (;;) {
      if (::send(socket_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0) return;
      if (errno == ECONNREFUSED) lose(explain_errno(ECONNREFUSED));
      const bool full = errno == EAGAIN || errno == EWOULDBLOCK;
      const bool no_memory = errno == ENOBUFS || errno == ENOMEM;
      if (lost_ || (!full && !no_memory && errno != EINTR) || Clock::now() >= deadline) return;
      pollfd waiting = {.fd = socket_.get(), .events = POLLOUT, .revents = 0};
      if (full) poll_until(waiting, deadline);
      if (no_memory)
        poll_until(std::span<pollfd>(), std::min(deadline, Clock::now() + kNoBufferPause));
    }
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
      send_datagram(pending.datagram, now);
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
  DatagramBudget budget_;  // heeded over UDP

  // Random, so that a late reply to an earlier client of the same port matches nothing.
  RequestId next_id_ = random_id();
  PendingRequests pending_;                            // not yet answered
  std::unordered_map<RequestId, CallResult> results_;  // answered, and not yet waited for
  std::optional<CallResult> lost_;
  bool more_may_be_there_ = false;  // receive() ended before the kernel had nothing left
  Clock::time_point received_at_;   // when receive() was last called
  Clock::time_point last_end_;      // when a request was last answered or given up

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

bool Client::arrived(RequestId id) { return implementation_->arrived(id); }

bool Client::ready(RequestId id) { return implementation_->ready(id); }

bool Client::has_room(std::size_t payload_bytes) const {
  return implementation_->has_room(kFrameHeaderBytes + kMaxJobNameBytes + payload_bytes);
}

std::size_t Client::in_flight() const { return implementation_->in_flight(); }

CallResult Client::wait(RequestId id) { return implementation_->wait(id, false); }

CallResult Client::wait_in_turn(RequestId id) { return implementation_->wait(id, true); }

CallResult Client::ping(std::chrono::milliseconds timeout) {
  return wait(implementation_->send_ping(timeout));
}

}  // namespace evpool
