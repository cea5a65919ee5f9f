// The signals with which people and supervisors end a server, from construction to destruction:
//
//   SIGTERM, SIGINT, SIGQUIT    the first one drains the server; a second one ends the process at
//                               once, with status 128 + the signal's number
//   SIGHUP, SIGUSR1, SIGUSR2    change nothing; `on_other` is told
//
// A signal that was ignored when this was made, as under nohup, stays ignored.
//
// The signals have handlers, and are not blocked: programs that a job's handler starts begin with
// their default actions and an empty mask. A thread of this object acts on them.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <array>
#include <functional>

namespace evpool {

class Server;

// One at a time in a process.
class ShutdownSignals {
 public:
  // `server` must outlive this. `on_other` is called on this object's thread with the number of a
  // signal that changes nothing. Throws std::system_error.
  explicit ShutdownSignals(Server& server, std::function<void(int)> on_other = {});
  // Gives the signals back the actions that they had, unless they are ignored.
  ~ShutdownSignals();
  ShutdownSignals(const ShutdownSignals&) = delete;
  ShutdownSignals& operator=(const ShutdownSignals&) = delete;

  // For a process that is about to end: from now on the signals change nothing, and keep that.
  void ignore();

 private:
  static constexpr std::array kSignals = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

  void open_pipe();
  void close_pipe();
  void set_handlers();
  void act();

  Server& server_;
  const std::function<void(int)> on_other_;
  std::array<struct sigaction, kSignals.size()> before_{};
  bool ignored_ = false;
  std::array<int, 2> pipe_{-1, -1};  // a byte: look at what has come
  pthread_t thread_{};
};

}  // namespace evpool
