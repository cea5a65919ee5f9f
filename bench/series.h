// What the commands share that start evpoold again and again, to measure it: how often, how long,
// which evpoold, and in what form to say it.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "bench/child_program.h"
#include "bench/load/significance.h"

namespace CLI {
class App;
}

namespace evpool::bench {

struct SeriesOptions {
  int rounds = 5;
  std::chrono::milliseconds duration{1'000};  // of each run
  bool json = false;
  std::string server_program;    // empty: evpoold beside this executable
  std::string server_arguments;  // separated by spaces
};

// --rounds, --duration, --json, --server-program, --server-args. `options` has the defaults, and
// must outlive the parsing.
void add_series_flags(CLI::App& command, SeriesOptions& options);

// Throws std::runtime_error when there is no such program, or as ChildProgram.
[[nodiscard]] std::unique_ptr<ChildProgram> start_program(std::vector<std::string> arguments);

// evpoold on ports of the kernel's choice, with `more` and then with what the user gave.
[[nodiscard]] std::unique_ptr<ChildProgram> start_evpoold(const SeriesOptions& options,
                                                          const std::vector<std::string>& more);

// What makes an evpoold one without segmentation offload, which it uses unless told.
inline constexpr const char* kWithoutUdpOffload = "--no-udp-offload";

// One line on standard error.
void show_series_progress(const std::string& what, int round, const SeriesOptions& options);

// --- Showing -------------------------------------------------------------------------------------

// "0.95 (0.90..1.02)"
[[nodiscard]] std::string spread_text(std::span<const double> values);
// median, least, greatest, rounds; null for no values.
[[nodiscard]] nlohmann::ordered_json spread_json(std::span<const double> values);

// a[i] / b[i]: inside a round the machine was about as fast for both.
// The shorter of the two decides; 0 where b is 0.
[[nodiscard]] std::vector<double> ratios_of(std::span<const double> a, std::span<const double> b);

}  // namespace evpool::bench
