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
#include "bench/report_form.h"

namespace CLI {
class App;
}

namespace evpool::bench {

struct SeriesOptions {
  int rounds = 5;
  std::chrono::milliseconds duration{1'000};  // of each run
  ReportForm form;
  std::string server_program;    // empty: evpoold beside this executable
  std::string server_arguments;  // separated by spaces
};

// --rounds, --duration, --json, --verbose, --server-program, --server-args. `options` has the
// defaults, and must outlive the parsing.
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
// The same of large numbers: "9,217 (8,892..9,387)"
[[nodiscard]] std::string grouped_spread_text(std::span<const double> values);
// The least and the greatest: "0.51 to 2.02", "0.51" when both are shown alike; "nothing".
[[nodiscard]] std::string range_text(std::span<const double> values);
// median, least, greatest, rounds; null for no values.
[[nodiscard]] nlohmann::ordered_json spread_json(std::span<const double> values);

// What was wrong with the runs of the rows: "tcp-50x16, the server: ..." for each.
template <typename Row>
[[nodiscard]] std::vector<std::string> faults_of(const std::vector<Row>& rows) {
  std::vector<std::string> faults;
  for (const Row& row : rows) {
    for (const std::string& fault : row.faults) faults.push_back(row.row.name + ", " + fault);
  }
  return faults;
}
// What must be known before the figures: why the series broke off, and what was wrong with its
// runs. Prints nothing when there is nothing.
void print_troubles(const std::string& broke_off, const std::vector<std::string>& faults);
// "BROKE OFF, INVALID: " before the essential line, as far as it is so.
[[nodiscard]] std::string troubled(const std::string& broke_off,
                                   const std::vector<std::string>& faults);
// For JSON.
[[nodiscard]] nlohmann::ordered_json null_if_empty(const std::string& text);

// a[i] / b[i]: inside a round the machine was about as fast for both.
// The shorter of the two decides; 0 where b is 0.
[[nodiscard]] std::vector<double> ratios_of(std::span<const double> a, std::span<const double> b);

}  // namespace evpool::bench
