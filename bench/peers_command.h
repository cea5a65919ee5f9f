// `evpool-bench peers`: evpoold beside redis, memcached and gearmand, with the same client on the
// same machine in the same minutes.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace evpool::bench {

// Adds the subcommand. When it is parsed, `chosen` becomes what does the work and returns the exit
// status: 0, 1 when replies were wrong, or 3 when a server that is installed could not be measured.
// `chosen` must outlive the parsing, and be called in a thread that lives as long as the servers
// are to: the main thread.
void add_peers_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace evpool::bench
