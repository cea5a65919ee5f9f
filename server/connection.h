// One TCP connection: receives on the loop's thread, hands requests to the intake, and takes
// replies from any thread.
//
// Lifetime: shared by the table of connections, while it is open, and by every batch of jobs that
// owes it answers. close() frees the socket at once, whatever batches still hold; their answers
// then go nowhere. The bufferevent lives as long as the connection, so a worker that locks it locks
// something.
//
// Output: a worker that answers sends what the socket takes by itself, under the bufferevent's
// lock, and leaves only a remainder to the bufferevent and so to the loop: bufferevent_write alone
// would cost a wake-up of the loop, and six system calls, for every reply.
#pragma once

#include <event2/bufferevent.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "server/event_loop.h"
#include "server/intake.h"
#include "server/reply_order.h"
#include "server/reply_path.h"
#include "server/server.h"
#include "server/stream_codec.h"

namespace evpool {

class Connection;

// What the connections of a loop share; outlives them.
struct ConnectionContext {
  EventLoop& loop;
  Intake& intake;
  const ServerOptions& options;
  CodecOptions codec_options;
  std::span<char> receive_buffer;  // the loop's thread only
  std::function<void(Connection&)> on_closed;
  std::function<void()> on_ping;
};

class Connection final : public ReplyPath {
 public:
  enum class Kind : std::uint8_t {
    detect,      // frames or text, by the first byte
    raw,         // each chunk a payload
    over_limit,  // as detect, but every request is answered busy: there are too many connections
  };

  // Throws std::runtime_error or std::bad_alloc; then the socket is closed.
  Connection(ConnectionContext& context, Descriptor socket, Kind kind);

  // The loop's thread only, down to closed().

  // Starts to receive. REQUIRES: owned by a shared_ptr.
  void open();
  // Answers what has arrived, then closes once all is answered and sent.
  void drain();
  // Closes now; what has not been sent is lost. The context's on_closed is called, once.
  void close();
  // Whether the peer has made no progress for too long with what it owes: the rest of a request, or
  // the reading of replies. Called every second or so.
  [[nodiscard]] bool is_stalled(Clock::time_point now);

  // Any thread.
  [[nodiscard]] bool gone() const override { return gone_.load(); }
  void encode(const ReplyTo& to, Reply& reply, Replies& replies) const noexcept override;
  std::size_t send(Replies& replies) noexcept override;

 private:
  enum class Phase : std::uint8_t {
    open,       // receives requests
    finishing,  // receives no more; waits until all is answered and sent
    lingering,  // has said that it sends no more; discards input until the peer has closed
    closed,
  };
  class Lock;
  struct BuffereventDeleter {
    void operator()(bufferevent* stream) const { bufferevent_free(stream); }
  };

  void on_readable();
  void receive();
  std::size_t receive_once(bool& more);
  void discard_input();
  void decode();
  void take_request(const FrameView& request);
  void refuse(std::uint64_t id, Reply reply);
  void on_end_of_input();
  void pause_if_output_is_long();
  void finish();
  void advance();
  void linger();
  void write_pong(std::uint64_t id);

  // REQUIRES: the bufferevent is locked.
  void write_in_order_locked(const Replies& replies);
  void write_locked(std::string_view bytes);
  void write_large_locked(std::string& payload);
  [[nodiscard]] std::size_t send_now_locked(std::string_view bytes);
  void leave_to_loop_locked(bool appended);
  [[nodiscard]] std::size_t output_bytes_locked() const;
  [[nodiscard]] bool wants_advance_locked() const;

  ConnectionContext& context_;
  const Kind kind_;

  // The loop's thread only.
  Descriptor socket_;
  Phase phase_ = Phase::open;
  bool draining_ = false;
  bool paused_ = false;  // does not receive until the output is sent
  bool peer_ended_ = false;
  UniqueEvent readable_;
  std::unique_ptr<StreamCodec> codec_;  // set before the first request; encode() by any thread
  std::size_t received_since_progress_bytes_ = 0;
  bool progressed_ = true;
  std::uint64_t sent_at_progress_bytes_ = 0;
  Clock::time_point progress_at_ = Clock::now();
  Clock::time_point linger_until_{};

  // Guarded by the bufferevent's lock.
  int output_descriptor_ = -1;        // -1 once closed
  std::uint64_t appended_bytes_ = 0;  // to the output, ever
  bool write_failed_ = false;
  bool advance_when_sent_ = false;      // somebody waits for the output to be empty,
  bool advance_when_answered_ = false;  // and for nothing in flight
  ReplyOrder order_;

  // Requests not yet answered. Raised by the loop, lowered under the lock.
  std::atomic<std::size_t> in_flight_{0};
  // The loop is to send a remainder. Written under the lock.
  std::atomic<bool> write_armed_{false};
  std::atomic<bool> gone_{false};
  const std::unique_ptr<bufferevent, BuffereventDeleter> stream_;
};

}  // namespace evpool
