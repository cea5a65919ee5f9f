// What a TCP connection sends. Whoever has an answer sends what the socket takes by itself, under
// the bufferevent's lock, and leaves only a remainder to the bufferevent and so to the loop:
// bufferevent_write alone would cost a wake-up of the loop, and six system calls, for every reply.
//
// Any thread, but for what says otherwise. The bufferevent lives as long as this, so a worker that
// locks it locks something.
#pragma once

#include <event2/bufferevent.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/event_loop.h"
#include "server/replies.h"
#include "server/reply_order.h"
#include "server/spare_bodies.h"

namespace evpool {

class ConnectionOutput {
 public:
  struct Bounds {
    std::size_t bytes = 0;     // that wait to be sent, or for their turn
    std::size_t requests = 0;  // if the order is kept: in flight
  };

  // The loop calls `on_sent` when it has sent a remainder, or after call_loop(), and `on_failure`
  // when it could not, with `argument`. What is given must outlive this, but for the descriptor.
  // Throws std::runtime_error.
  ConnectionOutput(const EventLoop& loop, int descriptor, const Bounds& bounds, SpareBodies& spare,
                   bufferevent_data_cb on_sent, bufferevent_event_cb on_failure, void* argument);
  ConnectionOutput(const ConnectionOutput&) = delete;
  ConnectionOutput& operator=(const ConnectionOutput&) = delete;

  // --- Sending. Each says whether the connection is to look at state(), on the loop's thread.

  // Sends and clears the answers. `undelivered`: how many could not be. Without memory for what
  // the socket does not take, or for an answer whose turn it is not, the connection breaks.
  [[nodiscard]] bool send(Replies& replies, std::size_t& undelivered) noexcept;
  // What is no answer.
  [[nodiscard]] bool write(std::string_view bytes);
  // Has the loop call `on_sent` soon.
  void call_loop();

  // --- The loop's thread only.

  // How many requests are in flight.
  [[nodiscard]] std::size_t in_flight() const { return in_flight_.load(); }

  // Answers are to leave in the order of their requests. REQUIRES: none was expected yet.
  void keep_order() { ordered_ = true; }
  // One more request is in flight: not answered, or its answer waits for its turn. How many there
  // were before.
  std::size_t expect_answer() { return in_flight_.fetch_add(1); }

  // More waits than the bounds allow. Then send() will say when there is room again.
  [[nodiscard]] bool is_full();
  // From now on send() says when nothing is in flight.
  void tell_when_answered();

  struct State {
    bool failed = false;    // nothing can be sent any more
    bool sent = false;      // nothing waits to be sent
    bool answered = false;  // nothing is in flight
    bool has_room = false;  // so little waits that more requests may come
  };
  [[nodiscard]] State state();

  struct Reading {
    std::uint64_t taken_bytes = 0;  // by the peer's kernel, ever
    bool owed = false;              // the peer has not taken all that was given to it
  };
  // How far the peer has read. Asks the kernel, unless the peer had taken everything before.
  [[nodiscard]] Reading reading();
  // Whether nothing waits: no answer, and no byte that the peer has not taken.
  [[nodiscard]] bool is_idle() { return in_flight() == 0 && !reading().owed; }

  // Sends nothing from now on; the descriptor may then be closed. Returns how many answers that
  // send() took are lost.
  [[nodiscard]] std::size_t close();

 private:
  class Lock;
  struct BuffereventDeleter {
    void operator()(bufferevent* stream) const { bufferevent_free(stream); }
  };

  // REQUIRES: the bufferevent is locked.
  // Both return how many answers will never be sent.
  [[nodiscard]] std::size_t send_unordered_locked(Replies& replies) noexcept;
  [[nodiscard]] std::size_t send_in_order_locked(const Replies& replies) noexcept;
  [[nodiscard]] std::string put_in_order_locked(const Replies& replies);
  [[nodiscard]] std::size_t settle_locked(std::uint64_t begin,
                                          std::span<const Replies::Mark> answers) noexcept;
  [[nodiscard]] bool remember_unsent_locked(std::uint64_t end) noexcept;
  void write_locked(std::string_view bytes);
  void write_large_locked(std::string& payload);
  [[nodiscard]] std::size_t send_now_locked(std::string_view bytes);
  void leave_to_loop_locked(bool appended, std::size_t bytes);
  [[nodiscard]] std::size_t waiting_bytes_locked() const;
  [[nodiscard]] std::uint64_t sent_bytes_locked() const;
  [[nodiscard]] bool has_room_locked() const;
  [[nodiscard]] bool is_news_locked() const;

  const Bounds bounds_;
  SpareBodies& spare_;
  bool ordered_ = false;  // constant once an answer is expected

  // Guarded by the bufferevent's lock.
  int descriptor_;                      // -1 once closed
  std::uint64_t appended_bytes_ = 0;    // sent, or waiting to be; ever
  std::uint64_t taken_bytes_ = 0;       // of those, by the peer's kernel, as far as we have asked
  std::size_t left_to_loop_bytes_ = 0;  // since nothing waited in the bufferevent
  bool write_failed_ = false;
  bool tell_of_room_ = false;
  bool tell_when_answered_ = false;
  ReplyOrder order_;
  // Where answers end that had not been sent whole when they were appended.
  std::vector<std::uint64_t> unsent_ends_;
  std::vector<Replies::Mark> in_turn_;  // what put_in_order_locked has just put there

  // Raised by the loop, lowered under the lock.
  std::atomic<std::size_t> in_flight_{0};
  // The loop is to send a remainder. Written under the lock.
  std::atomic<bool> write_armed_{false};
  const std::unique_ptr<bufferevent, BuffereventDeleter> stream_;
};

}  // namespace evpool
