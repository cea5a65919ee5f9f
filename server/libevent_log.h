// What libevent says (warnings of failed system calls) goes to the log of the server on whose
// thread it is said, at most one line a second for each thread. libevent would write it to standard
// error, and could be held up there.
//
// On other threads libevent's words go to standard error, as without us. A program that uses
// libevent itself may set a callback of its own after its first server was made.
#pragma once

#include "server/log.h"

namespace evpool {

// Before the process's first event_base.
void send_libevent_log_to_servers();

// This thread is one of the server with this log while the object lives; the log must live as long.
// They may nest.
class LibeventLogScope {
 public:
  explicit LibeventLogScope(const Log& log);
  ~LibeventLogScope();
  LibeventLogScope(const LibeventLogScope&) = delete;
  LibeventLogScope& operator=(const LibeventLogScope&) = delete;

 private:
  const Log* const before_;
};

// This thread is one of the server's until it ends; for threads that the server ends.
void use_libevent_log_until_thread_ends(const Log& log);

}  // namespace evpool
