// evpool-bench sweep: throughput against latency over a range of rates, up and down.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace evpool::bench {

void add_sweep_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace evpool::bench
