// Accepts TCP connections and hands them to the table. The loop's thread only.
#pragma once

#include "server/connection_table.h"
#include "server/event_loop.h"
#include "server/log.h"
#include "server/socket.h"

namespace evpool {

class Listener {
 public:
  // `socket` must be listening. What is given must outlive this. Throws std::runtime_error.
  Listener(EventLoop& loop, ConnectionTable& connections, const Log& log, Descriptor socket,
           bool raw);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Takes who waits in the backlog, up to a quota.
  void accept_some();

 private:
  void back_off(int error);
  void turn_one_away();

  ConnectionTable& connections_;
  const Log& log_;
  const Descriptor socket_;
  const bool raw_;
  // Held open so that, with no other descriptor left, a connection can still be taken and closed:
  // its peer learns at once instead of waiting in the backlog.
  Descriptor reserve_;
  LineLimit error_lines_;
  UniqueEvent acceptable_;
  UniqueEvent resume_timer_;
};

}  // namespace evpool
