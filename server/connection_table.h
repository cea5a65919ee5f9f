// All connections of a loop: takes new ones up to the server's bound, closes those that stall,
// drains them. The loop's thread only.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <unordered_map>

#include "server/connection.h"
#include "server/log.h"

namespace evpool {

// What the tables of a server count together. Any thread.
struct ConnectionCounts {
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> stalled{0};
  std::atomic<std::uint64_t> open{0};
  std::atomic<std::uint64_t> pings{0};

  void add_to(Statistics& statistics) const;
};

class ConnectionTable {
 public:
  // `on_empty` is called whenever the last connection has closed. What is given must outlive this.
  ConnectionTable(EventLoop& loop, Intake& intake, const ServerOptions& options, const Log& log,
                  ConnectionCounts& counts, std::function<void()> on_empty);
  ~ConnectionTable();
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  // Takes a connection just accepted. One that cannot be taken is closed, counted and logged.
  void add(Descriptor socket, bool raw);

  // Has every connection answer what it has received and then close.
  void drain();
  // Closes every connection now.
  void close_all();

  [[nodiscard]] bool empty() const { return connections_.empty(); }

 private:
  void take(Descriptor socket, bool raw);
  void sweep();
  void on_closed(Connection& connection);
  [[nodiscard]] std::vector<std::shared_ptr<Connection>> snapshot() const;

  EventLoop& loop_;
  const ServerOptions& options_;
  const Log& log_;
  ConnectionCounts& counts_;
  const std::function<void()> on_empty_;
  std::array<char, std::size_t{64} << 10U> receive_buffer_;
  ConnectionContext context_;
  UniqueEvent sweep_timer_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  LineLimit error_lines_;
};

}  // namespace evpool
