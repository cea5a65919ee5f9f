// All connections of a loop: takes new ones up to the server's bound, closes those that stall,
// drains them. The loop's thread only.
//
// At the bound a new connection takes the place of an idle one, of the one that has sent nothing
// for longest. If none of those looked at is idle, other tables are asked to close one, and the
// first request of the new one is answered busy unless there is room by then; of these, too, a new
// one takes the place of the oldest that has said nothing.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "server/connection.h"
#include "server/log.h"

namespace evpool {

// What the tables of a server count together. Any thread.
struct ConnectionCounts {
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> stalled{0};
  std::atomic<std::uint64_t> evicted{0};  // idle, for a new one
  std::atomic<std::uint64_t> open{0};     // but for those over the limit
  std::atomic<std::uint64_t> over_limit{0};
  std::atomic<std::uint64_t> pings{0};

  void add_to(Statistics& statistics) const;
};

class ConnectionTable {
 public:
  // `on_empty` is called whenever the last connection has closed; `on_full`, when a connection
  // comes for which there is no place and none here can be had. What is given must outlive this.
  ConnectionTable(EventLoop& loop, Intake& intake, const ServerOptions& options, const Log& log,
                  ConnectionCounts& counts, std::function<void()> on_empty,
                  std::function<void()> on_full);
  ~ConnectionTable();
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  // Takes a connection just accepted. One that cannot be taken is closed, counted and logged.
  void add(Descriptor socket, bool raw);

  // Whether there is room for one more, if need be by closing an idle one here.
  bool make_room();
  // Closes the connection here that has been idle for longest, if one of those looked at is idle.
  bool close_an_idle_one();

  // Has every connection answer what it has received and then close.
  void drain();
  // Closes every connection now.
  void close_all();

  [[nodiscard]] bool empty() const { return connections_.empty() && over_limit_.empty(); }

 private:
  void take(Descriptor socket, bool raw);
  [[nodiscard]] bool has_room() const { return counts_.open.load() < options_.max_connections; }
  [[nodiscard]] bool make_room_over_limit();
  [[nodiscard]] ConnectionList& list_of(const Connection& connection);
  [[nodiscard]] std::atomic<std::uint64_t>& count_of(const Connection& connection);
  void move_to_end(Connection& connection);
  [[nodiscard]] bool admit(Connection& connection);
  void sweep();
  void on_closed(Connection& connection);
  void on_watch_failed();
  template <typename Visit>
  void for_each(Visit visit);

  EventLoop& loop_;
  const ServerOptions& options_;
  const Log& log_;
  ConnectionCounts& counts_;
  const std::function<void()> on_empty_;
  const std::function<void()> on_full_;
  std::array<char, std::size_t{64} << 10U> receive_buffer_;
  TurnQueue turns_;
  ConnectionContext context_;
  UniqueEvent sweep_timer_;
  ConnectionList connections_;  // the least recently used first
  ConnectionList over_limit_;   // likewise
  LineLimit error_lines_;
};

}  // namespace evpool
