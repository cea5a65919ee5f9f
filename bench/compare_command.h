// `evpool-bench compare` and `evpool-bench gate`: is B different from A, and is it worse?
//
// Both take the results of several runs of each, from files that hold what `evpool-bench run
// --json` printed, or from two commands that they run in turn. bench/load/significance.h has the
// statistics.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace evpool::bench {

// Each adds its subcommand. When the command line names it, `chosen` becomes the function that does
// the work, prints, and returns the exit status; it throws nothing but what the allocator and fmt
// throw. `chosen` must outlive the parsing, and the App need not outlive that.
//
// compare: 0 compared, whatever came of it; 2 a file or a metric that is not there; 3 a run
//          that must not be believed; the status of a command that failed.
// gate:    0 no regression; 1 one that is significant and larger than --min-effect; 2 as above;
//          3 a run that must not be believed, a command that failed, or too few runs to tell.
void add_compare_command(CLI::App& app, std::function<int()>& chosen);
void add_gate_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace evpool::bench
