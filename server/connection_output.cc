#include "server/connection_output.h"

#include <event2/buffer.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <stdexcept>
#include <utility>

namespace evpool {
namespace {

// A remainder is sent by the loop in pieces of this size; libevent's default is 16 KiB.
constexpr std::size_t kMaxSingleWriteBytes = std::size_t{256} << 10U;
// The end of a payload this large is sent from a copy, by a system call of its own.
constexpr std::size_t kTailedBytes = std::size_t{256} << 10U;
constexpr std::size_t kTailBytes = std::size_t{4} << 10U;

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

class ConnectionOutput::Lock {
 public:
  explicit Lock(const ConnectionOutput& output) : stream_(output.stream_.get()) {
    bufferevent_lock(stream_);
  }
  ~Lock() { bufferevent_unlock(stream_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  bufferevent* const stream_;
};

ConnectionOutput::ConnectionOutput(const EventLoop& loop, int descriptor, const Bounds& bounds,
                                   SpareBodies& spare, bufferevent_data_cb on_sent,
                                   bufferevent_event_cb on_failure, void* argument)
    : bounds_(bounds),
      spare_(spare),
      descriptor_(descriptor),
      stream_(new_stream(loop, descriptor)) {
  // The loop is to send only when there is a remainder.
  bufferevent_disable(stream_.get(), EV_WRITE);
  bufferevent_set_max_single_write(stream_.get(), kMaxSingleWriteBytes);
  bufferevent_setcb(stream_.get(), nullptr, on_sent, on_failure, argument);
}

// --- Sending -----------------------------------------------------------------------------------

bool ConnectionOutput::send(Replies& replies, std::size_t& undelivered) noexcept {
  undelivered = replies.count();
  bool news = false;
  {
    const Lock lock(*this);
    if (descriptor_ < 0 || write_failed_) {
      in_flight_.fetch_sub(replies.count());
    } else {
      undelivered = ordered_ ? send_in_order_locked(replies) : send_unordered_locked(replies);
      news = is_news_locked();
    }
  }
  // What was not written, because the connection is closed or broken.
  for (Replies::Large& large : replies.large) spare_.give_back(std::move(large.payload));
  replies.clear();
  return news;
}

void ConnectionOutput::call_loop() {
  bufferevent_trigger(stream_.get(), EV_WRITE,
                      BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

bool ConnectionOutput::write(std::string_view bytes) {
  const Lock lock(*this);
  if (descriptor_ < 0 || write_failed_) return false;
  write_locked(bytes);
  return is_news_locked();
}

std::size_t ConnectionOutput::send_unordered_locked(Replies& replies) noexcept {
  const std::uint64_t begin = appended_bytes_;
  std::size_t written = 0;
  for (Replies::Large& large : replies.large) {
    write_locked(std::string_view(replies.bytes).substr(written, large.at - written));
    write_large_locked(large.payload);
    written = large.at;
  }
  write_locked(std::string_view(replies.bytes).substr(written));
  in_flight_.fetch_sub(replies.count());
  return settle_locked(begin, replies.marks);
}

// Without memory for keeping an answer until its turn, the connection breaks.
std::size_t ConnectionOutput::send_in_order_locked(const Replies& replies) noexcept {
  const std::size_t held_before = order_.held();
  try {
    const std::uint64_t begin = appended_bytes_;
    write_locked(put_in_order_locked(replies));
    in_flight_.fetch_sub(in_turn_.size());
    return settle_locked(begin, in_turn_);
  } catch (const std::bad_alloc&) {
    write_failed_ = true;
    // Those of before that had their turn now are lost with it.
    return replies.count() + held_before - order_.held();
  }
}

// What can leave now: those answers whose turn it is, and those kept before that follow them.
std::string ConnectionOutput::put_in_order_locked(const Replies& replies) {
  in_turn_.clear();
  std::string bytes;
  std::string kept;
  std::size_t begin = 0;
  for (const Replies::Mark& mark : replies.marks) {
    const auto answer = std::string_view(replies.bytes).substr(begin, mark.end - begin);
    begin = mark.end;
    if (!order_.is_next(mark.id, answer)) continue;
    bytes += answer;
    in_turn_.push_back({.end = bytes.size(), .id = mark.id});
    while (order_.take_next(kept)) {
      bytes += kept;
      in_turn_.push_back({.end = bytes.size()});
    }
  }
  return bytes;
}

// Remembers which of the answers, appended from `begin` on, have not been sent whole. Returns how
// many never will be.
std::size_t ConnectionOutput::settle_locked(std::uint64_t begin,
                                            std::span<const Replies::Mark> answers) noexcept {
  if (!write_armed_.load() && !write_failed_) return 0;
  const std::uint64_t sent = sent_bytes_locked();
  unsent_ends_.erase(unsent_ends_.begin(),
                     std::upper_bound(unsent_ends_.begin(), unsent_ends_.end(), sent));
  std::size_t lost = 0;
  for (const Replies::Mark& answer : answers) {
    const std::uint64_t end = begin + answer.end;
    if (end > sent && !remember_unsent_locked(end)) ++lost;
  }
  return lost;
}

// False: nothing more will be sent.
bool ConnectionOutput::remember_unsent_locked(std::uint64_t end) noexcept {
  if (write_failed_) return false;
  try {
    unsent_ends_.push_back(end);
    return true;
  } catch (const std::bad_alloc&) {
    write_failed_ = true;
    return false;
  }
}

// Sends what the socket takes now; the rest is left to the loop.
void ConnectionOutput::write_locked(std::string_view bytes) {
  if (bytes.empty()) return;
  bytes.remove_prefix(send_now_locked(bytes));
  if (bytes.empty() || write_failed_) return;
  leave_to_loop_locked(bufferevent_write(stream_.get(), bytes.data(), bytes.size()) == 0,
                       bytes.size());
}

// As above, but what is left is not copied. Unless sending fails, the payload is taken, and its
// memory given back before the peer can have the whole of it: then a peer that sends large payloads
// one after the other has the memory of one and not of two.
void ConnectionOutput::write_large_locked(std::string& payload) {
  const std::size_t tail_at = payload.size() - (payload.size() < kTailedBytes ? 0 : kTailBytes);
  const std::size_t sent = send_now_locked(std::string_view(payload).substr(0, tail_at));
  if (write_failed_) return;
  if (sent == tail_at) {
    std::array<char, kTailBytes> tail;
    const std::size_t tail_bytes = payload.copy(tail.data(), tail.size(), tail_at);
    spare_.give_back(std::move(payload));
    write_locked({tail.data(), tail_bytes});
    return;
  }
  std::unique_ptr<HeldPayload> held(new (std::nothrow) HeldPayload{{}, spare_});
  if (!held) {
    write_failed_ = true;
    return;
  }
  held->bytes = std::move(payload);
  const std::size_t left_bytes = held->bytes.size() - sent;
  const bool appended =
      evbuffer_add_reference(bufferevent_get_output(stream_.get()), held->bytes.data() + sent,
                             left_bytes, release_held, held.get()) == 0;
  if (appended) static_cast<void>(held.release());
  leave_to_loop_locked(appended, left_bytes);
}

// Returns how much the socket took; nothing while a remainder is before it.
std::size_t ConnectionOutput::send_now_locked(std::string_view bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size() && !write_armed_.load() && !write_failed_) {
    const ssize_t result =
        ::send(descriptor_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (result >= 0) {
      sent += static_cast<std::size_t>(result);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      write_failed_ = true;
    }
  }
  appended_bytes_ += sent;
  return sent;
}

// Half an answer would make nonsense of all that follow, so failing to append breaks the output.
void ConnectionOutput::leave_to_loop_locked(bool appended, std::size_t bytes) {
  if (!appended) {
    write_failed_ = true;
    return;
  }
  appended_bytes_ += bytes;
  left_to_loop_bytes_ += bytes;
  if (write_armed_.exchange(true)) return;
  if (bufferevent_enable(stream_.get(), EV_WRITE) != 0) write_failed_ = true;
}

// --- What the connection needs to know ---------------------------------------------------------

bool ConnectionOutput::is_full() {
  if (!ordered_ && !write_armed_.load()) return false;  // nothing waits
  const Lock lock(*this);
  const bool full = waiting_bytes_locked() + order_.held_bytes() > bounds_.bytes ||
                    (ordered_ && in_flight_.load() >= bounds_.requests);
  if (full) tell_of_room_ = true;
  return full;
}

void ConnectionOutput::tell_when_answered() {
  const Lock lock(*this);
  tell_when_answered_ = true;
}

ConnectionOutput::State ConnectionOutput::state() {
  const Lock lock(*this);
  State state = {.failed = write_failed_,
                 .sent = waiting_bytes_locked() == 0,
                 .answered = in_flight_.load() == 0,
                 .has_room = has_room_locked()};
  if (state.sent && write_armed_.load()) {
    write_armed_ = false;
    spare_.memory().count_freed(std::exchange(left_to_loop_bytes_, 0));
    unsent_ends_ = {};
    bufferevent_disable(stream_.get(), EV_WRITE);
  }
  if (state.has_room) tell_of_room_ = false;
  return state;
}

ConnectionOutput::Reading ConnectionOutput::reading() {
  const Lock lock(*this);
  if (taken_bytes_ < appended_bytes_ && descriptor_ >= 0) {
    // What the kernel has of us and the peer has not acknowledged. The socket being writable would
    // say less: it is only when a third of the send buffer is free, which may be megabytes.
    int unacknowledged_bytes = 0;
    if (ioctl(descriptor_, SIOCOUTQ, &unacknowledged_bytes) != 0) unacknowledged_bytes = 0;
    const auto unacknowledged = static_cast<std::uint64_t>(std::max(unacknowledged_bytes, 0));
    const std::uint64_t sent = sent_bytes_locked();
    taken_bytes_ = std::max(taken_bytes_, sent - std::min(sent, unacknowledged));
  }
  return {.taken_bytes = taken_bytes_, .owed = taken_bytes_ < appended_bytes_};
}

std::size_t ConnectionOutput::close() {
  const Lock lock(*this);
  const std::uint64_t sent = sent_bytes_locked();
  const auto unsent = std::upper_bound(unsent_ends_.begin(), unsent_ends_.end(), sent);
  const auto lost = order_.held() + static_cast<std::size_t>(unsent_ends_.end() - unsent);
  descriptor_ = -1;
  bufferevent_setcb(stream_.get(), nullptr, nullptr, nullptr, nullptr);
  bufferevent_disable(stream_.get(), EV_READ | EV_WRITE);
  bufferevent_setfd(stream_.get(), -1);
  evbuffer* const output = bufferevent_get_output(stream_.get());
  evbuffer_unfreeze(output, 1);
  evbuffer_drain(output, evbuffer_get_length(output));
  spare_.memory().count_freed(left_to_loop_bytes_ + order_.held_bytes());
  return lost;
}

std::size_t ConnectionOutput::waiting_bytes_locked() const {
  return evbuffer_get_length(bufferevent_get_output(stream_.get()));
}

std::uint64_t ConnectionOutput::sent_bytes_locked() const {
  return appended_bytes_ - waiting_bytes_locked();
}

// Half of the bounds: being told costs a turn of the loop, so it is to be worth one.
bool ConnectionOutput::has_room_locked() const {
  return waiting_bytes_locked() == 0 && order_.held_bytes() <= bounds_.bytes / 2 &&
         (!ordered_ || in_flight_.load() <= bounds_.requests / 2);
}

bool ConnectionOutput::is_news_locked() const {
  if (write_failed_) return true;
  if (waiting_bytes_locked() > 0) return false;
  return (tell_of_room_ && has_room_locked()) || (tell_when_answered_ && in_flight_.load() == 0);
}

}  // namespace evpool
