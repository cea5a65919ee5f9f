// The commands of evpool-bench. Each function adds its own to `app`; when the command line names
// it, `chosen` becomes what does the work, prints, and returns the exit status (exit_status.h).
// What it throws has a sentence: std::invalid_argument for what the user asked for,
// std::runtime_error for what could not be measured. `chosen` must outlive the parsing, and be
// called where `app` was parsed: in a thread that outlives the servers that some of the commands
// start.
//
// docs/benchmarks.md says how to read what they print.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace evpool::bench {

// One run, and everything that can be said of it.
void add_run_command(CLI::App& app, std::function<int()>& chosen);
// Throughput against latency over a range of rates, up and down.
void add_sweep_command(CLI::App& app, std::function<int()>& chosen);
// The highest rate at which a server still keeps its promise.
void add_knee_command(CLI::App& app, std::function<int()>& chosen);

// Is B different from A, and is it worse? Both take the results of several runs of each, from files
// that hold what `evpool-bench run --json` printed, or from two commands that they run in turn;
// load/significance.h has the statistics. The status of a command that failed is theirs, too.
void add_compare_command(CLI::App& app, std::function<int()>& chosen);
void add_gate_command(CLI::App& app, std::function<int()>& chosen);

// evpoold beside the least that any server in its place must do, the programs in floors/; beside
// redis, memcached and gearmand; with many idle connections; with other numbers of workers; and
// with short jobs among long ones, beside the same queue on paper.
void add_floors_command(CLI::App& app, std::function<int()>& chosen);
void add_peers_command(CLI::App& app, std::function<int()>& chosen);
void add_connections_command(CLI::App& app, std::function<int()>& chosen);
void add_workers_command(CLI::App& app, std::function<int()>& chosen);
void add_mixed_command(CLI::App& app, std::function<int()>& chosen);
// That queue alone.
void add_mgk_command(CLI::App& app, std::function<int()>& chosen);

// What the generator itself costs.
void add_self_command(CLI::App& app, std::function<int()>& chosen);
// Whether what is measured on this machine, now, is to be believed.
void add_doctor_command(CLI::App& app, std::function<int()>& chosen);

}  // namespace evpool::bench
