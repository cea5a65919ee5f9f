// `evpool-bench floors`: evpoold beside the least that any server in its place must do, the
// programs in bench/floors/. docs/benchmarks.md says how to read what it prints.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace evpool::bench {

// Once the command line has been parsed and names this command, `chosen` does its work and returns
// the exit status. REQUIRES: `chosen` lives as long as `app`. It starts programs of this
// executable's folder, in the thread that calls it, and ends them before it returns.
void add_floors_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace evpool::bench
