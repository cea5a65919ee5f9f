#include "bench/series.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "bench/load_flags.h"
#include "bench/numbers.h"
#include "client/command_line.h"
#include "console/diagnostic.h"
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

std::string server_program(const SeriesOptions& options) {
  return options.server_program.empty() ? program_beside("evpoold") : options.server_program;
}

}  // namespace

void add_series_flags(CLI::App& command, SeriesOptions& options) {
  command
      .add_option("--rounds", options.rounds,
                  "Rounds, in each of which everything runs once, in turn")
      ->transform(whole_number(1, 1'000))
      ->capture_default_str();
  add_parsed_option(
      command, "--duration",
      [&options](const std::string& text) { options.duration = parse_duration(text); },
      "How long each run lasts, after its warm-up")
      ->type_name("DURATION")
      ->default_str(to_string(options.duration));
  command
      .add_option("--server-program", options.server_program,
                  "The evpoold to measure; if not given, the one beside this program")
      ->type_name("PATH");
  command
      .add_option("--server-args", options.server_arguments,
                  "More arguments for evpoold, separated by spaces")
      ->type_name("TEXT");
  add_report_flags(command, options.form);
}

std::unique_ptr<ChildProgram> start_program(std::vector<std::string> arguments) {
  if (access(arguments[0].c_str(), X_OK) != 0) {
    throw std::runtime_error(fmt::format(
        "there is no program {}; build it: ./dev build, or install all of evpool: cmake "
        "--install",
        arguments[0]));
  }
  return std::make_unique<ChildProgram>(ChildProgram::Options{.arguments = std::move(arguments)});
}

std::unique_ptr<ChildProgram> start_evpoold(const SeriesOptions& options,
                                            const std::vector<std::string>& more) {
  std::vector<std::string> command = {server_program(options), "--tcp", "127.0.0.1:0", "--udp",
                                      "127.0.0.1:0"};
  command.insert(command.end(), more.begin(), more.end());
  std::istringstream words(options.server_arguments);
  command.insert(command.end(), std::istream_iterator<std::string>(words), {});
  return start_program(std::move(command));
}

void show_series_progress(const std::string& what, int round, const SeriesOptions& options) {
  say(fmt::format("{}: round {} of {}\n", what, round + 1, options.rounds));
}

std::string spread_text(std::span<const double> values) {
  const Spread spread = spread_of(values);
  return fmt::format("{:.2f} ({:.2f}..{:.2f})", spread.median, spread.least, spread.greatest);
}

std::string grouped_spread_text(std::span<const double> values) {
  const Spread spread = spread_of(values);
  return fmt::format("{} ({}..{})", number_text(spread.median), number_text(spread.least),
                     number_text(spread.greatest));
}

std::string range_text(std::span<const double> values) {
  if (values.empty()) return "nothing";
  const Spread spread = spread_of(values);
  const std::string least = fmt::format("{:.2f}", spread.least);
  const std::string greatest = fmt::format("{:.2f}", spread.greatest);
  return least == greatest ? least : least + " to " + greatest;
}

nlohmann::ordered_json spread_json(std::span<const double> values) {
  if (values.empty()) return nullptr;
  const Spread spread = spread_of(values);
  return {{"median", spread.median},
          {"least", spread.least},
          {"greatest", spread.greatest},
          {"rounds", std::vector<double>(values.begin(), values.end())}};
}

void print_troubles(const std::string& broke_off, const std::vector<std::string>& faults) {
  if (!broke_off.empty()) {
    fmt::print("BROKE OFF: {} (what follows are the rounds that were finished)\n", broke_off);
  }
  for (const std::string& fault : faults) fmt::print("INVALID: {}\n", fault);
  if (!broke_off.empty() || !faults.empty()) fmt::print("\n");
}

std::string troubled(const std::string& broke_off, const std::vector<std::string>& faults) {
  if (broke_off.empty() && faults.empty()) return {};
  if (faults.empty()) return "BROKE OFF: ";
  return broke_off.empty() ? "INVALID: " : "BROKE OFF, INVALID: ";
}

nlohmann::ordered_json null_if_empty(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

std::vector<double> ratios_of(std::span<const double> a, std::span<const double> b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    ratios.push_back(b[i] > 0 ? a[i] / b[i] : 0);
  }
  return ratios;
}

}  // namespace evpool::bench
