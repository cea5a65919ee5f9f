#include "server/connection.h"

#include <event2/buffer.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "protocol/frame.h"

namespace evpool {
namespace {

// One connection may take the loop for this much before the others have their turn.
constexpr std::size_t kReceiveQuotaBytes = std::size_t{512} << 10U;
// A remainder is sent by the loop in pieces of this size; libevent's default is 16 KiB.
constexpr std::size_t kMaxSingleWriteBytes = std::size_t{1} << 20U;
// From here on a payload is handed to libevent by reference: below, the copy is cheaper than the
// bookkeeping: libevent allocates a chain for each reference.
constexpr std::size_t kReferenceBytes = std::size_t{16} << 10U;
// The end of a payload this large is sent from a copy, by a system call of its own.
constexpr std::size_t kTailedBytes = std::size_t{256} << 10U;
constexpr std::size_t kTailBytes = std::size_t{4} << 10U;
// A peer that sends more slowly than this much in each stall_timeout makes no progress; any smaller
// request has to arrive whole.
constexpr std::size_t kProgressBytes = std::size_t{64} << 10U;
// How long input is discarded after our last byte, so that no reset destroys it on its way.
constexpr std::chrono::seconds kLingerTime{1};

bufferevent* new_stream(const EventLoop& loop, int descriptor) {
  // Deferred and unlocked callbacks: none of ours ever runs under the bufferevent's lock.
  bufferevent* const stream = bufferevent_socket_new(
      loop.base(), descriptor,
      BEV_OPT_THREADSAFE | BEV_OPT_DEFER_CALLBACKS | BEV_OPT_UNLOCK_CALLBACKS);
  if (stream == nullptr) throw std::runtime_error("cannot create a bufferevent (out of memory)");
  return stream;
}

// A payload that the loop is to send from where it is.
struct HeldPayload {
  std::string bytes;
  SpareBodies& spare;
};

void release_held(const void*, std::size_t, void* held) {
  const std::unique_ptr<HeldPayload> released(static_cast<HeldPayload*>(held));
  released->spare.give_back(std::move(released->bytes));
}

}  // namespace

class Connection::Lock {
 public:
  explicit Lock(const Connection& connection) : stream_(connection.stream_.get()) {
    bufferevent_lock(stream_);
  }
  ~Lock() { bufferevent_unlock(stream_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  bufferevent* const stream_;
};

Connection::Connection(ConnectionContext& context, Descriptor socket, Kind kind)
    : context_(context),
      kind_(kind),
      socket_(std::move(socket)),
      readable_(context.loop.new_event(
          socket_.get(), EV_READ | EV_PERSIST,
          [](int, short, void* self) { static_cast<Connection*>(self)->on_readable(); }, this)),
      output_descriptor_(socket_.get()),
      stream_(new_stream(context.loop, socket_.get())) {
  const int on = 1;
  setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // The loop is to send only when there is a remainder.
  bufferevent_disable(stream_.get(), EV_WRITE);
  bufferevent_set_max_single_write(stream_.get(), kMaxSingleWriteBytes);
  bufferevent_setcb(
      stream_.get(), nullptr,
      [](bufferevent*, void* self) { static_cast<Connection*>(self)->advance(); },
      [](bufferevent*, short, void* self) { static_cast<Connection*>(self)->close(); }, this);
  if (kind == Kind::raw) codec_ = make_raw_codec(context.codec_options);
}

void Connection::open() {
  context_.loop.assert_in_loop_thread();
  event_add(readable_.get(), nullptr);
}

void Connection::drain() {
  context_.loop.assert_in_loop_thread();
  if (phase_ != Phase::open || draining_) return;
  const auto self = shared_from_this();
  receive();
  if (phase_ != Phase::open) return;
  draining_ = true;
  {
    const Lock lock(*this);
    advance_when_answered_ = true;
  }
  advance();
}

void Connection::close() {
  context_.loop.assert_in_loop_thread();
  if (phase_ == Phase::closed) return;
  const auto self = shared_from_this();
  phase_ = Phase::closed;
  gone_.store(true);
  readable_.reset();
  {
    const Lock lock(*this);
    output_descriptor_ = -1;
    bufferevent_setcb(stream_.get(), nullptr, nullptr, nullptr, nullptr);
    bufferevent_disable(stream_.get(), EV_READ | EV_WRITE);
    bufferevent_setfd(stream_.get(), -1);
    evbuffer* const output = bufferevent_get_output(stream_.get());
    evbuffer_unfreeze(output, 1);
    evbuffer_drain(output, evbuffer_get_length(output));
  }
  socket_.close();
  context_.on_closed(*this);
}

bool Connection::is_stalled(Clock::time_point now) {
  context_.loop.assert_in_loop_thread();
  if (phase_ == Phase::lingering) return now >= linger_until_;

  bool owes_reading = false;
  std::uint64_t sent_bytes = 0;
  {
    const Lock lock(*this);
    owes_reading = output_bytes_locked() > 0;
    sent_bytes = appended_bytes_ - output_bytes_locked();
  }
  const bool owes_input = kind_ == Kind::over_limit || (codec_ && codec_->inside_request());
  const bool has_read = sent_bytes - sent_at_progress_bytes_ >= kProgressBytes;
  const bool has_sent = !owes_reading && std::exchange(progressed_, false);
  if (has_read || has_sent || (!owes_input && !owes_reading)) {
    sent_at_progress_bytes_ = sent_bytes;
    progress_at_ = now;
    return false;
  }
  return now - progress_at_ >= context_.options.stall_timeout;
}

void Connection::on_readable() {
  context_.loop.assert_in_loop_thread();
  const auto self = shared_from_this();
  if (phase_ == Phase::lingering) {
    discard_input();
  } else {
    receive();
  }
}

void Connection::receive() {
  std::size_t received_bytes = 0;
  bool more = true;
  while (more && phase_ == Phase::open && !paused_ && received_bytes < kReceiveQuotaBytes) {
    const std::size_t bytes = receive_once(more);
    if (bytes == 0) break;
    received_bytes += bytes;
    decode();
    if (received_since_progress_bytes_ >= kProgressBytes || !codec_->inside_request()) {
      progressed_ = true;
      received_since_progress_bytes_ = 0;
    }
    pause_if_output_is_long();
  }
  if (draining_) advance();
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
  received_since_progress_bytes_ += bytes;
  if (!codec_) codec_ = choose_codec(space.front(), context_.codec_options);
  if (body.empty()) {
    codec_->push({space.data(), bytes});
  } else {
    codec_->body_received(bytes);
  }
  return bytes;
}

void Connection::discard_input() {
  for (std::size_t discarded_bytes = 0; discarded_bytes < kReceiveQuotaBytes;) {
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

void Connection::decode() {
  Decoded decoded;
  for (;;) {
    const StreamCodec::Item item = codec_->next(decoded);
    switch (item) {
      case StreamCodec::Item::need_more:
        return;
      case StreamCodec::Item::ping:
        context_.on_ping();
        write_pong(decoded.request.header.id);
        break;
      case StreamCodec::Item::request:
        take_request(decoded.request);
        break;
      case StreamCodec::Item::refused:
      case StreamCodec::Item::broken:
        in_flight_.fetch_add(1);
        context_.intake.refuse(*this, {.id = decoded.request.header.id},
                               std::move(decoded.refusal));
        if (item == StreamCodec::Item::broken) finish();
        break;
    }
    if (phase_ != Phase::open) return;
  }
}

void Connection::take_request(const FrameView& request) {
  const std::size_t in_flight = in_flight_.fetch_add(1);
  const ReplyTo to = {.id = request.header.id};
  if (kind_ == Kind::over_limit) {
    context_.intake.refuse(
        *this, to, {.status = Status::busy, .payload = "the server has too many connections"});
    finish();
  } else if (in_flight >= context_.options.max_in_flight_per_connection) {
    context_.intake.refuse(
        *this, to,
        {.status = Status::busy, .payload = "too many requests of this connection are unanswered"});
  } else {
    context_.intake.take(*this, to, request);
  }
}

void Connection::on_end_of_input() {
  peer_ended_ = true;
  if (codec_) {
    codec_->end_of_input();
    decode();
  }
  if (phase_ == Phase::open) finish();
}

void Connection::pause_if_output_is_long() {
  if (phase_ != Phase::open || paused_ || !write_armed_.load()) return;
  {
    const Lock lock(*this);
    if (output_bytes_locked() <= context_.options.max_output_bytes) return;
    advance_when_sent_ = true;
  }
  paused_ = true;
  event_del(readable_.get());
}

// Receives no more requests; closes once all is answered and sent.
void Connection::finish() {
  phase_ = Phase::finishing;
  event_del(readable_.get());
  {
    const Lock lock(*this);
    advance_when_answered_ = true;
  }
  advance();
}

// Does what the state of input and output now calls for. Idempotent.
void Connection::advance() {
  context_.loop.assert_in_loop_thread();
  if (phase_ == Phase::closed || phase_ == Phase::lingering) return;
  bool failed = false;
  bool sent = false;
  bool answered = false;
  {
    const Lock lock(*this);
    failed = write_failed_;
    sent = output_bytes_locked() == 0;
    answered = in_flight_.load() == 0;
    if (sent && write_armed_.load()) {
      write_armed_ = false;
      bufferevent_disable(stream_.get(), EV_WRITE);
    }
    if (sent) advance_when_sent_ = false;
  }
  if (failed) {
    close();
  } else if (sent && answered && (phase_ == Phase::finishing || draining_)) {
    linger();
  } else if (sent && paused_) {
    paused_ = false;
    if (phase_ == Phase::open) event_add(readable_.get(), nullptr);
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
  event_add(readable_.get(), nullptr);
}

void Connection::write_pong(std::uint64_t id) {
  std::string pong;
  append_header({.type = FrameType::pong, .id = id}, pong);
  bool advance_now = false;
  {
    const Lock lock(*this);
    write_locked(pong);
    advance_now = wants_advance_locked();
  }
  if (advance_now) advance();
}

void Connection::encode(const ReplyTo& to, Reply& reply, Replies& replies) const noexcept {
  if (reply.payload.size() > UINT32_MAX) {
    reply = {
        .status = Status::too_large,
        .payload = fmt::format("the reply of {} bytes does not fit a frame", reply.payload.size())};
  }
  ++replies.count;
  codec_->encode(to.id, reply, replies.bytes);
  if (reply.payload.size() >= kReferenceBytes && !codec_->ordered()) {
    replies.large.push_back({.at = replies.bytes.size(), .payload = std::move(reply.payload)});
  } else {
    replies.bytes += reply.payload;
  }
  if (codec_->ordered()) replies.marks.push_back({.end = replies.bytes.size(), .id = to.id});
}

std::size_t Connection::send(Replies& replies) noexcept {
  std::size_t delivered = 0;
  bool advance_now = false;
  {
    const Lock lock(*this);
    in_flight_.fetch_sub(replies.count);
    if (output_descriptor_ >= 0 && !write_failed_) {
      delivered = replies.count;
      if (!replies.marks.empty()) {
        write_in_order_locked(replies);
      } else {
        std::size_t written = 0;
        for (Replies::Large& large : replies.large) {
          write_locked(std::string_view(replies.bytes).substr(written, large.at - written));
          write_large_locked(large.payload);
          written = large.at;
        }
        write_locked(std::string_view(replies.bytes).substr(written));
      }
      advance_now = wants_advance_locked();
    }
  }
  // What was not written, because the connection is closed or broken.
  for (Replies::Large& large : replies.large) {
    context_.intake.spare_bodies().give_back(std::move(large.payload));
  }
  replies.clear();
  if (advance_now) context_.loop.post([self = shared_from_this(), this] { advance(); });
  return delivered;
}

void Connection::write_in_order_locked(const Replies& replies) {
  std::string in_turn;
  std::string kept;
  std::size_t begin = 0;
  for (const Replies::Mark& mark : replies.marks) {
    const auto bytes = std::string_view(replies.bytes).substr(begin, mark.end - begin);
    begin = mark.end;
    if (!order_.is_next(mark.id, bytes)) continue;
    in_turn += bytes;
    while (order_.take_next(kept)) in_turn += kept;
  }
  write_locked(in_turn);
}

// Sends what the socket takes now; the rest is left to the loop.
void Connection::write_locked(std::string_view bytes) {
  if (bytes.empty()) return;
  appended_bytes_ += bytes.size();
  bytes.remove_prefix(send_now_locked(bytes));
  if (bytes.empty() || write_failed_) return;
  leave_to_loop_locked(bufferevent_write(stream_.get(), bytes.data(), bytes.size()) == 0);
}

// As above, but what is left is not copied. Unless sending fails, the payload is taken, and its
// memory given back before the peer can have the whole of it: then a peer that sends large payloads
// one after the other has the memory of one and not of two.
void Connection::write_large_locked(std::string& payload) {
  SpareBodies& spare = context_.intake.spare_bodies();
  const std::size_t tail_at = payload.size() - (payload.size() < kTailedBytes ? 0 : kTailBytes);
  const std::size_t sent = send_now_locked(std::string_view(payload).substr(0, tail_at));
  if (write_failed_) return;
  if (sent == tail_at) {
    appended_bytes_ += sent;
    std::array<char, kTailBytes> tail;
    const std::size_t tail_bytes = payload.copy(tail.data(), tail.size(), tail_at);
    spare.give_back(std::move(payload));
    write_locked({tail.data(), tail_bytes});
    return;
  }
  appended_bytes_ += payload.size();
  std::unique_ptr<HeldPayload> held(new HeldPayload{std::move(payload), spare});
  const bool appended =
      evbuffer_add_reference(bufferevent_get_output(stream_.get()), held->bytes.data() + sent,
                             held->bytes.size() - sent, release_held, held.get()) == 0;
  if (appended) static_cast<void>(held.release());
  leave_to_loop_locked(appended);
}

// Returns how much the socket took; nothing while a remainder is before it.
std::size_t Connection::send_now_locked(std::string_view bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size() && !write_armed_.load() && !write_failed_) {
    const ssize_t result = ::send(output_descriptor_, bytes.data() + sent, bytes.size() - sent,
                                  MSG_NOSIGNAL | MSG_DONTWAIT);
    if (result >= 0) {
      sent += static_cast<std::size_t>(result);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      write_failed_ = true;
    }
  }
  return sent;
}

// Half an answer would make nonsense of all that follow, so failing to append breaks the output.
void Connection::leave_to_loop_locked(bool appended) {
  if (!appended) write_failed_ = true;
  if (write_failed_ || write_armed_.exchange(true)) return;
  bufferevent_enable(stream_.get(), EV_WRITE);
}

std::size_t Connection::output_bytes_locked() const {
  return evbuffer_get_length(bufferevent_get_output(stream_.get()));
}

bool Connection::wants_advance_locked() const {
  if (write_failed_) return true;
  if (output_bytes_locked() > 0) return false;
  return advance_when_sent_ || (advance_when_answered_ && in_flight_.load() == 0);
}

}  // namespace evpool
