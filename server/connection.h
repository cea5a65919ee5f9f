// One TCP connection: receives on the loop's thread, hands requests to the intake, and takes
// replies from any thread.
//
// Lifetime: shared by the table of connections, while it is open, and by every batch of jobs that
// owes it answers. close() frees the socket at once, whatever batches still hold; their answers
// then go nowhere.
//
// Bounded: decoding stops once more than max_output_bytes of replies wait, because the peer does
// not read or an earlier reply is not there yet; on an ordered stream also at
// max_in_flight_per_connection requests.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <list>
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
#include "server/turn.h"

namespace evpool {

class Connection;
using ConnectionList = std::list<std::shared_ptr<Connection>>;

// What the connections of a loop share; outlives them.
struct ConnectionContext {
  EventLoop& loop;
  Intake& intake;
  const ServerOptions& options;
  CodecOptions codec_options;
  TurnQueue& turns;
  std::span<char> receive_buffer;                 // the loop's thread only, as all below
  std::function<void(Connection&)> on_used;       // it begins a turn, or owes an answer
  std::function<void(Connection&)> on_closed;     // once for each
  std::function<bool(Connection&)> on_admission;  // over the limit: whether there is room now
  std::function<void()> on_watch_failed;          // the loop cannot serve one; errno says why
  std::function<void()> on_ping;
  // Of the turn under way, not yet sent. With room from the start: they are given without memory.
  static constexpr std::size_t kMaxPongBytes = std::size_t{16} << 10U;
  std::string pongs = [] {
    std::string room;
    room.reserve(kMaxPongBytes);
    return room;
  }();
};

class Connection final : public ReplyPath {
 public:
  enum class Kind : std::uint8_t {
    detect,      // frames or text, by the first byte
    raw,         // each chunk a payload
    over_limit,  // as detect, but the first request is answered busy unless there is room by then
  };

  // Throws std::runtime_error or std::bad_alloc; then the socket is closed.
  Connection(ConnectionContext& context, Descriptor socket, Kind kind);

  // The loop's thread only, down to closed().

  // Starts to receive. REQUIRES: owned by a shared_ptr.
  void open();
  // Takes its turn, for which it has waited with this ticket. REQUIRES: the caller has a share in
  // it.
  void take_turn(TurnTicket ticket);
  // Answers what has arrived, all of it, then closes once that is sent.
  void drain();
  // Closes now; what has not been sent is lost. The context's on_closed is called, once.
  void close();
  // Closes it if the peer has lingered for long enough, has gone without our having been told, or
  // has made no progress for the stall timeout; true in the last case. Called every second or so.
  //
  // A peer that was sent something must take it: progress is every byte its kernel acknowledges.
  // Otherwise a peer that is owed an answer owes us nothing. Otherwise a peer that has begun a
  // request must finish it: progress is every request completed, and 64 KiB of a large one.
  bool close_if_stalled(Clock::time_point now);
  // Whether the peer neither is owed anything nor has begun a request.
  [[nodiscard]] bool is_idle();
  [[nodiscard]] Kind kind() const { return kind_; }
  // Whether it has answered all and only waits for the peer to close.
  [[nodiscard]] bool is_lingering() const { return phase_ == Phase::lingering; }

  // Where the table has it; the table's alone.
  ConnectionList::iterator place;

  // Any thread.
  [[nodiscard]] bool gone() const override { return gone_.load(); }
  void encode(const ReplyTo& to, Reply& reply, Replies& replies) const override;
  std::size_t send(Replies& replies) noexcept override;

 private:
  enum class Phase : std::uint8_t {
    open,       // receives requests
    finishing,  // receives no more; waits until all is answered and sent
    lingering,  // has said that it sends no more; discards input until the peer has closed
    closed,
  };
  void on_readable();
  // Receives and decodes until nothing is left or the turn is over; in the latter case it waits for
  // another one.
  void take_turn();
  void receive(TurnBudget& budget);
  void end_turn(const TurnBudget& budget);
  [[nodiscard]] bool waits_for_turn() const { return turn_ticket_.empty(); }
  [[nodiscard]] bool may_receive() const;
  void wait_for_turn();
  void watch_readable();
  void use(std::unique_ptr<StreamCodec> codec);
  std::size_t receive_once(bool& more);
  void discard_input();
  void decode(TurnBudget& budget);
  [[nodiscard]] bool take_request(const FrameView& request);
  [[nodiscard]] bool take_at_a_bound(const FrameView& request, std::size_t before);
  void on_end_of_input();
  void pause_if_output_is_full();
  void finish();
  void advance();
  void linger();
  void add_pong(std::uint64_t id);
  void send_pongs();

  [[nodiscard]] bool has_vanished() const;
  [[nodiscard]] bool owes_rest_of_request() const;
  [[nodiscard]] bool is_stalled(Clock::time_point now);

  ConnectionContext& context_;
  Kind kind_;

  // The loop's thread only.
  Descriptor socket_;
  Phase phase_ = Phase::open;
  bool draining_ = false;
  std::size_t drain_budget_bytes_ = 0;  // so much more is received of a peer that goes on sending
  bool paused_ = false;                 // does not receive until the output has room
  TurnTicket turn_ticket_ = TurnQueue::new_ticket();  // empty while it waits for a turn
  bool turns_are_long_ = false;                       // the last one was
  std::size_t requests_until_bound_ = 0;              // in flight, without a look at the bounds
  bool undecoded_ = false;  // the codec may have more, but the turn was over
  bool peer_ended_ = false;
  UniqueEvent readable_;
  std::unique_ptr<StreamCodec> codec_;  // set before the first request; encode() by any thread
  std::size_t received_since_progress_bytes_ = 0;
  bool progressed_ = true;
  std::uint64_t taken_at_progress_bytes_ = 0;
  Clock::time_point progress_at_ = Clock::now();
  Clock::time_point linger_until_{};

  // Any thread.
  std::atomic<bool> gone_{false};
  ConnectionOutput output_;
};

}  // namespace evpool
