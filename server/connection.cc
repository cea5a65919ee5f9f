#include "server/connection.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "protocol/frame.h"
#include "server/refusal.h"

namespace evpool {
namespace {

// A request that arrives more slowly than this much in each stall_timeout makes no progress; any
// smaller one has to arrive whole.
constexpr std::size_t kProgressBytes = std::size_t{64} << 10U;
// A drain answers what has arrived; of a peer that goes on sending, this much. More than the
// kernels at both ends hold by default (tcp_rmem, tcp_wmem: 6 and 4 MiB).
constexpr std::size_t kDrainBytes = std::size_t{16} << 20U;
// How long input is discarded after our last byte, so that no reset destroys it on its way.
constexpr std::chrono::seconds kLingerTime{1};

// A peer that has vanished without a word is noticed after two minutes, so that it does not keep
// its place among max_connections.
constexpr int kKeepAliveIdle_s = 60;
constexpr int kKeepAliveInterval_s = 15;
constexpr int kKeepAliveProbes = 4;

void prepare(int socket) {
  const auto set = [socket](int level, int option, int value) {
    setsockopt(socket, level, option, &value, sizeof(value));
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdle_s);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveInterval_s);
  set(IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

bool nothing_arrived(int socket) {
  int bytes = 0;
  return ioctl(socket, FIONREAD, &bytes) != 0 || bytes == 0;
}

}  // namespace

Connection::Connection(ConnectionContext& context, Descriptor socket, Kind kind)
    : context_(context),
      kind_(kind),
      socket_(std::move(socket)),
      readable_(context.loop.new_event<&Connection::on_readable>(socket_.get(),
                                                                 EV_READ | EV_PERSIST, this)),
      output_(
          context.loop, socket_.get(),
          {.bytes = context.options.max_output_bytes,
           .requests = context.options.max_in_flight_per_connection},
          context.intake.spare_bodies(),
          [](bufferevent*, void* self) { static_cast<Connection*>(self)->advance(); },
          [](bufferevent*, short, void* self) { static_cast<Connection*>(self)->close(); }, this) {
  prepare(socket_.get());
  if (kind == Kind::raw) use(make_raw_codec(context.codec_options));
}

void Connection::open() {
  context_.loop.assert_in_loop_thread();
  watch_readable();
}

void Connection::watch_readable() {
  if (EventLoop::watch(*readable_)) return;
  context_.on_watch_failed();
  close();
}

void Connection::drain() {
  context_.loop.assert_in_loop_thread();
  if (phase_ != Phase::open || draining_) return;
  const auto self = shared_from_this();
  draining_ = true;
  drain_budget_bytes_ = kDrainBytes;
  output_.tell_when_answered();
  take_turn();
}

void Connection::close() {
  context_.loop.assert_in_loop_thread();
  if (phase_ == Phase::closed) return;
  const auto self = shared_from_this();
  phase_ = Phase::closed;
  gone_.store(true);
  readable_.reset();
  context_.intake.count_undelivered(output_.close());
  if (codec_) context_.intake.spare_bodies().memory().count_freed(codec_->held_bytes());
  socket_.close();
  context_.on_closed(*this);
}

bool Connection::close_if_stalled(Clock::time_point now) {
  context_.loop.assert_in_loop_thread();
  const bool lingering = phase_ == Phase::lingering;
  const bool ended = lingering ? now >= linger_until_ : has_vanished();
  const bool stalled = !lingering && !ended && is_stalled(now);
  if (ended || stalled) close();
  return stalled;
}

// While we do not wait for input, the loop does not tell us of a reset, nor of TCP's keep-alive.
bool Connection::has_vanished() const {
  pollfd asked = {.fd = socket_.get(), .events = 0, .revents = 0};
  return !may_receive() && poll(&asked, 1, 0) > 0 && (asked.revents & (POLLERR | POLLHUP)) != 0;
}

// What is not received from it, it does not owe.
bool Connection::owes_rest_of_request() const {
  if (!may_receive() || waits_for_turn()) return false;
  return kind_ == Kind::over_limit || (codec_ && codec_->inside_request());
}

bool Connection::is_stalled(Clock::time_point now) {
  const ConnectionOutput::Reading reading = output_.reading();
  bool progressed = true;
  if (reading.owed) {
    progressed = reading.taken_bytes > taken_at_progress_bytes_;
  } else if (output_.in_flight() == 0 && owes_rest_of_request()) {
    progressed = std::exchange(progressed_, false);
  }
  taken_at_progress_bytes_ = reading.taken_bytes;
  if (progressed) progress_at_ = now;
  return now - progress_at_ >= context_.options.stall_timeout;
}

bool Connection::is_idle() {
  context_.loop.assert_in_loop_thread();
  return may_receive() && !draining_ && !waits_for_turn() &&
         !(codec_ && codec_->inside_request()) && output_.is_idle() &&
         nothing_arrived(socket_.get());
}

void Connection::on_readable() {
  context_.loop.assert_in_loop_thread();
  const auto self = shared_from_this();
  if (phase_ == Phase::lingering) {
    discard_input();
  } else if (!waits_for_turn()) {
    context_.on_used(*this);
    if (turns_are_long_ && context_.turns.round_is_full()) {
      wait_for_turn();
    } else {
      take_turn();
    }
  }
}

void Connection::take_turn(TurnTicket ticket) {
  turn_ticket_ = std::move(ticket);
  take_turn();
}

void Connection::take_turn() {
  context_.loop.assert_in_loop_thread();
  try {
    TurnBudget budget;
    receive(budget);
    end_turn(budget);
  } catch (const std::bad_alloc&) {
    // What was received cannot be kept, and what follows it would make no sense.
    context_.pongs.clear();
    close();
  }
}

// Whether the peer may send now, or a drain has had enough of it.
bool Connection::may_receive() const {
  return phase_ == Phase::open && !paused_ && (!draining_ || drain_budget_bytes_ > 0);
}

void Connection::receive(TurnBudget& budget) {
  if (phase_ == Phase::open && !paused_ && undecoded_) {
    decode(budget);
    pause_if_output_is_full();
  }
  bool more = true;
  while (more && may_receive() && !undecoded_ && !budget.received_enough()) {
    const std::size_t bytes = receive_once(more);
    if (bytes == 0) break;
    budget.count_received(bytes);
    decode(budget);
    if (received_since_progress_bytes_ >= kProgressBytes) {
      progressed_ = true;
      received_since_progress_bytes_ = 0;
    }
    pause_if_output_is_full();
  }
}

void Connection::end_turn(const TurnBudget& budget) {
  send_pongs();
  turns_are_long_ = budget.is_long();
  if (turns_are_long_) context_.turns.count_long_turn(budget.time_taken());
  if (phase_ == Phase::open) {
    if (undecoded_) codec_->hold_input();
    if (!may_receive()) event_del(readable_.get());
    if (!paused_ && (undecoded_ || (budget.received_enough() && may_receive()))) wait_for_turn();
  }
  if (draining_) advance();
}

void Connection::wait_for_turn() {
  if (waits_for_turn()) return;
  context_.turns.wait(turn_ticket_, std::static_pointer_cast<Connection>(shared_from_this()));
}

void Connection::use(std::unique_ptr<StreamCodec> codec) {
  codec_ = std::move(codec);
  requests_until_bound_ = context_.options.max_in_flight_per_connection;
  if (!codec_->ordered()) return;
  output_.keep_order();
  // What comes after the last that may be in flight is not decoded, and so not busy.
  --requests_until_bound_;
}

// Receives what one call gives and hands it to the codec; 0 when that is nothing. `more`: whether
// another call may give more; after less than there was room for, asking would be in vain.
std::size_t Connection::receive_once(bool& more) {
  const std::span<char> body = codec_ ? codec_->body_space() : std::span<char>{};
  const std::span<char> space = body.empty() ? context_.receive_buffer : body;
  const ssize_t result = recv(socket_.get(), space.data(), space.size(), 0);
  if (result == 0) {
    on_end_of_input();
    return 0;
  }
  if (result < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) close();
    return 0;
  }
  const auto bytes = static_cast<std::size_t>(result);
  more = bytes == space.size();
  drain_budget_bytes_ -= std::min(drain_budget_bytes_, bytes);
  received_since_progress_bytes_ += bytes;
  if (!codec_) use(choose_codec(space.front(), context_.codec_options));
  if (body.empty()) {
    codec_->push({space.data(), bytes});
  } else {
    codec_->body_received(bytes);
  }
  return bytes;
}

void Connection::discard_input() {
  for (std::size_t discarded_bytes = 0; discarded_bytes < TurnBudget::kMaxBytes;) {
    const ssize_t result =
        recv(socket_.get(), context_.receive_buffer.data(), context_.receive_buffer.size(), 0);
    if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (result <= 0) {
      close();
      return;
    }
    discarded_bytes += static_cast<std::size_t>(result);
  }
}

void Connection::decode(TurnBudget& budget) {
  Decoded decoded;
  undecoded_ = true;
  bool at_bound = false;
  while (!budget.spent()) {
    const StreamCodec::Item item = codec_->next(decoded);
    if (item == StreamCodec::Item::need_more) {
      undecoded_ = false;
      return;
    }
    budget.count_request();
    progressed_ = true;
    switch (item) {
      case StreamCodec::Item::need_more:
        break;
      case StreamCodec::Item::ping:
        context_.on_ping();
        add_pong(decoded.request.header.id);
        break;
      case StreamCodec::Item::request:
        at_bound = !take_request(decoded.request);
        break;
      case StreamCodec::Item::refused:
      case StreamCodec::Item::broken:
        output_.expect_answer();
        context_.intake.refuse(*this, {.id = decoded.request.header.id},
                               std::move(decoded.refusal));
        if (item == StreamCodec::Item::broken) finish();
        break;
    }
    // One over the limit is told once, or pings and the like would keep it.
    if (kind_ == Kind::over_limit) finish();
    if (at_bound || phase_ != Phase::open) return;
  }
}

// False: no more is to be decoded now.
bool Connection::take_request(const FrameView& request) {
  const std::size_t before = output_.expect_answer();
  if (kind_ == Kind::over_limit || before >= requests_until_bound_) {
    return take_at_a_bound(request, before);
  }
  context_.intake.take(*this, {.id = request.header.id}, request);
  return true;
}

bool Connection::take_at_a_bound(const FrameView& request, std::size_t before) {
  const ReplyTo to = {.id = request.header.id};
  if (kind_ == Kind::over_limit && context_.on_admission(*this)) kind_ = Kind::detect;
  if (kind_ == Kind::over_limit) {
    context_.intake.refuse(*this, to, refusal(Status::busy, "the server has too many connections"));
  } else if (before >= context_.options.max_in_flight_per_connection) {
    context_.intake.refuse(
        *this, to, refusal(Status::busy, "too many requests of this connection are unanswered"));
  } else {
    context_.intake.take(*this, to, request);
  }
  return before < requests_until_bound_;
}

void Connection::on_end_of_input() {
  peer_ended_ = true;
  if (codec_) {
    codec_->end_of_input();
    TurnBudget last_request;
    decode(last_request);
  }
  if (phase_ == Phase::open) finish();
}

void Connection::pause_if_output_is_full() {
  if (phase_ != Phase::open || paused_ || !output_.is_full()) return;
  paused_ = true;
}

// Receives no more requests; closes once all is answered and sent.
void Connection::finish() {
  send_pongs();
  if (phase_ != Phase::open) return;
  phase_ = Phase::finishing;
  event_del(readable_.get());
  output_.tell_when_answered();
  advance();
}

// Does what the state of input and output now calls for. Idempotent.
void Connection::advance() {
  context_.loop.assert_in_loop_thread();
  if (phase_ == Phase::closed || phase_ == Phase::lingering) return;
  const auto self = shared_from_this();
  const ConnectionOutput::State output = output_.state();
  const bool receives_no_more =
      phase_ == Phase::finishing ||
      (draining_ && !undecoded_ &&
       (drain_budget_bytes_ == 0 || (!waits_for_turn() && nothing_arrived(socket_.get()))));
  if (output.failed) {
    close();
  } else if (output.sent && output.answered && receives_no_more) {
    linger();
  } else if (output.has_room && std::exchange(paused_, false) && phase_ == Phase::open) {
    watch_readable();
    if (phase_ == Phase::open && undecoded_) wait_for_turn();
  }
}

// All is sent. Closing with input unread would make the kernel send a reset, which can destroy our
// last bytes before the peer has read them; so say that no more comes, and wait for the peer.
void Connection::linger() {
  if (peer_ended_) {
    close();
    return;
  }
  phase_ = Phase::lingering;
  linger_until_ = Clock::now() + kLingerTime;
  shutdown(socket_.get(), SHUT_WR);
  watch_readable();
}

void Connection::add_pong(std::uint64_t id) {
  if (context_.pongs.size() + kFrameHeaderBytes > ConnectionContext::kMaxPongBytes) send_pongs();
  append_header({.type = FrameType::pong, .id = id}, context_.pongs);
}

void Connection::send_pongs() {
  if (context_.pongs.empty()) return;
  const bool news = output_.write(context_.pongs);
  context_.pongs.clear();
  if (news) advance();
}

void Connection::encode(const ReplyTo& to, Reply& reply, Replies& replies) const {
  codec_->encode(to.id, reply, replies);
  replies.mark(to.id);
}

std::size_t Connection::send(Replies& replies) noexcept {
  const std::size_t answers = replies.count();
  std::size_t undelivered = 0;
  if (output_.send(replies, undelivered)) output_.call_loop();
  return answers - undelivered;
}

}  // namespace evpool
