// evpool-bench self: what the generator itself costs.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace evpool::bench {

void add_self_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace evpool::bench
