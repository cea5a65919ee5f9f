// evpool-bench run: one run, and everything that can be said of it.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace evpool::bench {

// Adds the command; when it is given, `chosen` becomes what does it and returns the exit status.
void add_run_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace evpool::bench
