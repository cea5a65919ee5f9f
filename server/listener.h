// Accepts TCP connections and hands them on. The loop's thread only.
#pragma once

#include <functional>

#include "server/connection_table.h"
#include "server/event_loop.h"
#include "server/log.h"
#include "server/socket.h"

namespace evpool {

class Listener {
 public:
  // So many connections are accepted before the loop looks after those it has.
  static constexpr int kAcceptQuota = 64;

  // Who serves a connection from now on; must not throw.
  using Take = std::function<void(Descriptor socket, bool raw)>;

  // Closes an idle connection, so that there is a descriptor; false: there is none.
  using MakeRoom = std::function<bool()>;

  // `socket` must be listening. What is given must outlive this. Throws std::runtime_error.
  Listener(EventLoop& loop, Take take, MakeRoom make_room, ConnectionCounts& counts, const Log& log,
           Descriptor socket, bool raw);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Takes who waits in the backlog, up to a quota. Whether there may be more.
  bool accept_some();

 private:
  void back_off(int error);
  void resume();
  void turn_one_away();

  const Take take_;
  const MakeRoom make_room_;
  ConnectionCounts& counts_;
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
