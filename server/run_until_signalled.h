// Runs a server in a program of its own as evpoold does.
//
//   evpool::Server server(options, std::move(handlers));
//   evpool::run_until_signalled(server);
#pragma once

#include "server.h"

namespace evpool {

// As server.run(), until SIGTERM, SIGINT or SIGQUIT drains it. A second one of these ends the
// process at once, with status 128 + the signal's number. SIGHUP, SIGUSR1 and SIGUSR2 change
// nothing. A signal that is ignored stays ignored; afterwards all have the actions they had before.
//
// The signals are handled, not blocked: programs that a job's handler starts do not inherit a mask.
// One call at a time in a process. Throws std::system_error.
DrainReport run_until_signalled(Server& server);

}  // namespace evpool
