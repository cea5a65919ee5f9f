// What evpool's commands do. One thread; standard input, output and error are used.
#pragma once

#include "client/command_options.h"

namespace evpool {

// Throws ConnectError when there is no server, std::invalid_argument when a payload cannot be sent,
// and std::system_error when standard input cannot be read.
[[nodiscard]] Exit run_command(const CommandOptions& options);

}  // namespace evpool
