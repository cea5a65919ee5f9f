// evpoold's command line. One thread.
#pragma once

#include <optional>

#include "server/server.h"

namespace evpool {

struct DaemonOptions {
  ServerOptions server;
  LogLevel log_level = LogLevel::info;
};

// Fills `options` from the command line. Returns the status to exit with when there is nothing to
// run: help was asked for, or the usage was wrong and has been explained.
[[nodiscard]] std::optional<int> parse_command_line(int argc, char** argv, DaemonOptions& options);

}  // namespace evpool
