// `evpool map`: each line of standard input is a job; the replies leave in the order of the lines.
// One thread; standard input, output and error are used.
#pragma once

#include "client/command_options.h"

namespace evpool {

// Throws ConnectError, or std::system_error when standard input cannot be read.
[[nodiscard]] Exit run_map(const CommandOptions& options);

}  // namespace evpool
