// An I/O thread and what it owns: a loop, its connections, its UDP endpoints, and the intake
// through which their requests reach the pool that all I/O threads share.
//
// The first one of a server is the thread that calls Server::run; each other has a thread of its
// own, from start() to finish().
#pragma once

#include <pthread.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "server/connection_table.h"
#include "server/dispatcher.h"
#include "server/event_loop.h"
#include "server/intake.h"
#include "server/log.h"
#include "server/udp_endpoint.h"

namespace evpool {

class IoThread {
 public:
  // What is given must outlive this. `on_drained` is called on this thread, possibly more than
  // once, when it has begun to drain and no connection is left; `on_failed`, when the loop of a
  // thread of its own has failed; `on_full`, as the table's. Throws std::runtime_error.
  IoThread(Dispatcher& dispatcher, const ServerOptions& options, const Log& log,
           ConnectionCounts& counts, std::function<void()> on_drained,
           std::function<void()> on_failed, std::function<void()> on_full);
  // As finish() and close_connections().
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  [[nodiscard]] EventLoop& loop() { return loop_; }

  // Before the thread is started, or on it. As UdpEndpoint's constructor.
  void add_endpoint(Descriptor socket, std::span<const std::uint16_t> own_ports);

  // Runs the loop in a thread of its own, with all asynchronous signals blocked. Throws
  // std::system_error.
  void start(const std::string& name);
  // Runs the loop in this thread, until exit(). Throws as EventLoop::run().
  void run();
  // Any thread. Has the loop end, be it running already or not.
  void exit();
  // Ends the thread if there is one, and hands over what was received. The calling thread is the
  // loop's from now on.
  void finish();
  // After finish(): what its loop threw, if it did, in a thread of its own.
  [[nodiscard]] std::exception_ptr failure() const { return failure_; }
  // REQUIRES: finish() was called, by this thread.
  void close_connections() { connections_.close_all(); }

  // On this thread, as all below.

  // Begins to receive datagrams. If it cannot, the loop fails.
  void open();
  void add_connection(Descriptor socket, bool raw);
  bool close_an_idle_connection() { return connections_.close_an_idle_one(); }

  // Any thread. Has it answer what has arrived, and receive no more.
  void drain() { EventLoop::call(*drain_); }
  // Has it close an idle connection unless there is room for one more.
  void make_room() { EventLoop::call(*make_room_); }
  // Whether it has begun to drain and no connection is left.
  [[nodiscard]] bool drained() const { return drained_.load(); }
  void count_into(Statistics& statistics) const;

 private:
  void begin_drain();
  void on_no_connection();

  const ServerOptions& options_;
  const Log& log_;
  const std::function<void()> on_drained_;
  const std::function<void()> on_failed_;
  EventLoop loop_;
  Intake intake_;
  ConnectionTable connections_;
  std::vector<std::shared_ptr<UdpEndpoint>> endpoints_;
  const UniqueEvent make_room_;
  const UniqueEvent drain_;
  const UniqueEvent exit_;
  bool draining_ = false;
  std::atomic<bool> drained_{false};
  pthread_t thread_{};
  bool started_ = false;
  std::exception_ptr failure_;  // written by the thread, read when it has been joined
};

}  // namespace evpool
