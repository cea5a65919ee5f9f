// `evpool-bench doctor`: says whether what is measured on this machine, now, is to be believed.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace evpool::bench {

// Adds the subcommand. When it is parsed, `chosen` becomes what does the work and returns the exit
// status: 0, or 3 when a check is bad. `chosen` must outlive the parsing.
void add_doctor_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace evpool::bench
