// One TCP connection: receives on the loop's thread, hands requests to the intake, and takes
// replies from any thread.
//
// Lifetime: shared by the table of connections, while it is open, and by every batch of jobs that
// owes it answers. close() frees the socket at once, whatever batches still hold; their answers
// then go nowhere.
//
// Bounded: of a peer that does not read its replies, or, on an ordered stream, whose next reply is
// not there yet, no more is received than max_output_bytes of replies and (ordered) as many
// requests in flight as may be.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "server/connection_output.h"
#include "server/event_loop.h"
#include "server/intake.h"
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
  // Answers what has arrived, all of it, then closes once that is sent.
  void drain();
  // Closes now; what has not been sent is lost. The context's on_closed is called, once.
  void close();
  // Closes it if the peer has lingered for long enough, or has made no progress for too long with
  // what it owes: the rest of a request, or the reading of replies; true in the latter case. Called
  // every second or so.
  bool close_if_stalled(Clock::time_point now);

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
  void on_readable();
  void receive();
  void use(std::unique_ptr<StreamCodec> codec);
  std::size_t receive_once(bool& more);
  void discard_input();
  void decode();
  void take_request(const FrameView& request);
  void on_end_of_input();
  void pause_if_output_is_full();
  void finish();
  void advance();
  void linger();
  void write_pong(std::uint64_t id);

  [[nodiscard]] bool is_stalled(Clock::time_point now);

  ConnectionContext& context_;
  const Kind kind_;

  // The loop's thread only.
  Descriptor socket_;
  Phase phase_ = Phase::open;
  bool draining_ = false;
  std::size_t drain_budget_bytes_ = 0;  // so much more is received of a peer that goes on sending
  bool paused_ = false;                 // does not receive until the output has room
  bool peer_ended_ = false;
  UniqueEvent readable_;
  std::unique_ptr<StreamCodec> codec_;  // set before the first request; encode() by any thread
  std::size_t received_since_progress_bytes_ = 0;
  bool progressed_ = true;
  std::uint64_t sent_at_progress_bytes_ = 0;
  Clock::time_point progress_at_ = Clock::now();
  Clock::time_point linger_until_{};

  // Any thread.
  std::atomic<bool> gone_{false};
  ConnectionOutput output_;
};

}  // namespace evpool
