// All connections of a loop: takes new ones up to the bound, closes those that stall, drains them.
// The loop's thread only, but for the counts.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <unordered_map>

#include "server/connection.h"

namespace evpool {

class ConnectionTable {
 public:
  // `on_empty` is called whenever the last connection has closed. What is given must outlive this.
  ConnectionTable(EventLoop& loop, Intake& intake, const ServerOptions& options,
                  std::function<void()> on_empty);
  ~ConnectionTable();
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  // Takes a connection just accepted.
  void add(Descriptor socket, bool raw);
  // Counts a connection that could not be accepted.
  void count_refused() { refused_.fetch_add(1); }

  // Has every connection answer what it has received and then close.
  void drain();
  // Closes every connection now.
  void close_all();

  [[nodiscard]] bool empty() const { return connections_.empty(); }

  // Any thread.
  void count_into(Statistics& statistics) const;

 private:
  void sweep();
  void on_closed(Connection& connection);
  [[nodiscard]] std::vector<std::shared_ptr<Connection>> snapshot() const;

  EventLoop& loop_;
  const ServerOptions& options_;
  const std::function<void()> on_empty_;
  std::array<char, std::size_t{64} << 10U> receive_buffer_;
  ConnectionContext context_;
  UniqueEvent sweep_timer_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;

  std::atomic<std::uint64_t> accepted_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> stalled_{0};
  std::atomic<std::uint64_t> open_{0};
  std::atomic<std::uint64_t> pings_{0};
};

}  // namespace evpool
