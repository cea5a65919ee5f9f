// `evpool-bench connections`: evpoold with many connections, most of them idle. docs/benchmarks.md
// says how to read what it prints.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace evpool::bench {

// Once the command line has been parsed and names this command, `chosen` does its work and returns
// the exit status. REQUIRES: `chosen` lives as long as `app`. It starts evpoold, in the thread
// that calls it, and ends it before it returns.
void add_connections_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace evpool::bench
