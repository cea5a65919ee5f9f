#include "server/run_until_signalled.h"

#include "server/shutdown_signals.h"

namespace evpool {

DrainReport run_until_signalled(Server& server) {
  const ShutdownSignals signals(server);
  return server.run();
}

}  // namespace evpool
