// One TCP connection: receives on the loop's thread, hands requests to the dispatcher, and takes
// replies from any thread.
//
// Lifetime: shared by the table of connections, while it is open, and by every job that owes it an
// answer. close() frees the socket at once, whatever jobs still hold; their answers then go
// nowhere. The bufferevent lives as long as the connection, so a worker that locks it locks
// something.
//
// Output goes through the bufferevent. A worker that answers writes what the socket takes by
// itself, under the bufferevent's lock, and leaves only a remainder to the loop: bufferevent_write
// alone would cost a wake-up of the loop, and six system calls, for every reply.
#pragma once

#include <event2/bufferevent.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "server/dispatcher.h"
#include "server/event_loop.h"
#include "server/reply_order.h"
#include "server/reply_path.h"
#include "server/server.h"
#include "server/stream_codec.h"

namespace evpool {

class Connection;

// What the connections of a loop share; outlives them.
struct ConnectionContext {
  EventLoop& loop;
  Dispatcher& dispatcher;
  const ServerOptions& options;
  CodecOptions codec_options;
  std::span<char> receive_buffer;  // the loop's thread only
  std::function<void(Connection&)> on_closed;
  std::function<void()> on_ping;
};

class Connection final : public ReplyPath, public std::enable_shared_from_this<Connection> {
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
  void fit(const ReplyTo& to, Reply& reply) const override;
  bool send(const ReplyTo& to, Reply&& reply) noexcept override;

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
  bool receive_once();
  void discard_input();
  void decode();
  void take_request(Frame&& request);
  void on_end_of_input();
  void pause_if_output_is_long();
  void finish();
  void advance();
  void linger();
  void write_pong(std::uint64_t id);

  // REQUIRES: the bufferevent is locked.
  void append_locked(std::string&& head, std::string&& payload);
  void flush_locked();
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
  Decoded decoded_;
  std::size_t received_since_progress_bytes_ = 0;
  bool progressed_ = true;
  std::uint64_t sent_at_progress_bytes_ = 0;
  Clock::time_point progress_at_ = Clock::now();
  Clock::time_point linger_until_{};

  // Guarded by the bufferevent's lock.
  int output_descriptor_ = -1;        // -1 once closed
  std::size_t in_flight_ = 0;         // requests not yet answered
  std::uint64_t appended_bytes_ = 0;  // to the output, ever
  bool write_armed_ = false;          // the loop is to send a remainder
  bool write_failed_ = false;
  bool advance_when_sent_ = false;      // somebody waits for the output to be empty,
  bool advance_when_answered_ = false;  // and for nothing in flight
  ReplyOrder order_;

  std::atomic<bool> gone_{false};
  const std::unique_ptr<bufferevent, BuffereventDeleter> stream_;
};

}  // namespace evpool
