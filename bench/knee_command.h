// evpool-bench knee: the highest rate at which a server still keeps its promise.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace evpool::bench {

void add_knee_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace evpool::bench
