// What evpool's commands do. One thread; standard input, output and error are used.
#pragma once

#include "client/command_options.h"

namespace evpool {

// Throws ConnectError when there is no server, and std::invalid_argument when a payload cannot be
// sent.
[[nodiscard]] Exit run_command(const CommandOptions& options);

}  // namespace evpool
