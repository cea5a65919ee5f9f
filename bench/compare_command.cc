#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "bench/commands.h"
#include "bench/exit_status.h"
#include "bench/load/provenance.h"
#include "bench/load/significance.h"
#include "bench/load_flags.h"
#include "bench/numbers.h"
#include "bench/report_form.h"
#include "bench/report_json.h"
#include "bench/run_conditions.h"
#include "bench/run_samples.h"
#include "client/command_line.h"
#include "console/diagnostic.h"

namespace evpool::bench {
namespace {

using nlohmann::ordered_json;

constexpr double kAlpha = 0.05;
constexpr std::size_t kMaxRuns = 1'000;

enum class Better : std::uint8_t { unknown, higher, lower };

struct Options {
  std::string metric = "jobs_per_second";
  std::string file_a;
  std::string file_b;
  std::vector<std::string> commands;  // two, or none: the files
  std::size_t runs = 10;              // of each command
  ReportForm form;
  double min_effect = 0.05;         // gate's
  Better better = Better::unknown;  // gate's, when told
};

Better better_of(std::string_view metric) {
  if (metric == "jobs_per_second") return Better::higher;
  for (const std::string_view durations : {"latency_us.", "service_us.", "lag_us."}) {
    if (metric.starts_with(durations)) return Better::lower;
  }
  if (metric.find("cpu") != std::string_view::npos) return Better::lower;
  return Better::unknown;
}

void collect(const Options& options, Side& a, Side& b) {
  if (!options.commands.empty()) {
    a.source = options.commands[0];
    b.source = options.commands[1];
    return run_interleaved(options.metric, options.runs, a, b);
  }
  a.source = options.file_a;
  b.source = options.file_b;
  read_file(options.file_a, options.metric, a);
  read_file(options.file_b, options.metric, b);
}

// --- Words -------------------------------------------------------------------------------------

bool enough_runs(std::size_t runs_a, std::size_t runs_b) {
  return least_p_value(runs_a, runs_b) < kAlpha;
}

std::string too_few_runs(std::size_t runs_a, std::size_t runs_b) {
  std::size_t enough = 1;
  while (!enough_runs(enough, enough)) ++enough;
  return fmt::format(
      "too few runs for any difference to be seen: with {} and {}, p is at least {:.2g} (make {} "
      "of each, or better 10)",
      runs_a, runs_b, least_p_value(runs_a, runs_b), enough);
}

// "B is 1.23 times A (95 % 1.18 to 1.29), p = 0.0002"
std::string describe(const Comparison& comparison, const Side& a, const Side& b) {
  std::string p = ", p < 0.0001";
  if (comparison.p_value >= 0.0001) p = fmt::format(", p = {:.2g}", comparison.p_value);
  if (!std::isfinite(comparison.ratio)) {
    return fmt::format("{} is {} where {} is 0{}", b.name, number_text(comparison.median_b), a.name,
                       p);
  }
  // An interval that excludes 1 must not look as if it did not.
  const Interval& interval = comparison.ratio_interval;
  const double nearest = std::min(std::abs(interval.low - 1), std::abs(interval.high - 1));
  int decimals = 2;
  while (decimals < 6 && !interval.contains(1) && nearest < std::pow(10, -decimals)) ++decimals;
  return fmt::format("{} is {:.{}f} times {} (95 % {:.{}f} to {:.{}f}){}", b.name, comparison.ratio,
                     decimals, a.name, interval.low, decimals, interval.high, decimals, p);
}

const char* to_string(Better better) {
  switch (better) {
    case Better::higher:
      return "higher";
    case Better::lower:
      return "lower";
    case Better::unknown:
      break;
  }
  return "unknown";
}

const char* to_string(Comparison::Verdict verdict) {
  switch (verdict) {
    case Comparison::a_higher:
      return "a_higher";
    case Comparison::b_higher:
      return "b_higher";
    case Comparison::no_difference:
      break;
  }
  return "no_difference";
}

// Nothing when both were measured in the same way. First of all, because it says what the rest is
// worth.
void print_differences(const Side& a, const Side& b) {
  const std::vector<Difference> differences = differences_between(a.conditions, b.conditions);
  if (differences.empty()) return;
  fmt::print("{} and {} were not measured in the same way, and what follows may come of that:\n",
             a.name, b.name);
  for (const Difference& difference : differences) {
    fmt::print("  {}\n", to_string(difference, a.name, b.name));
  }
}

void print_medians(const Options& options, Better better, const Comparison& comparison,
                   const Side& a, const Side& b) {
  fmt::print("{}{}\n", options.metric,
             better == Better::unknown ? "" : fmt::format(", {} is better", to_string(better)));
  const std::size_t width = std::max(a.name.size(), b.name.size());
  const auto print_side = [width](const Side& side, double middle, const Interval& interval) {
    fmt::print("  {:<{}}  median {} (95 % {} to {}) of {} runs: {}\n", side.name, width,
               number_text(middle), number_text(interval.low), number_text(interval.high),
               side.values.size(), side.source);
  };
  print_side(a, comparison.median_a, comparison.interval_a);
  print_side(b, comparison.median_b, comparison.interval_b);
}

ordered_json to_json(const char* command, const Options& options, Better better,
                     const Comparison& comparison, const Side& a, const Side& b) {
  // What is infinite becomes null: JSON has no other word for it.
  const auto pair_of = [](const Interval& interval) {
    return ordered_json::array({interval.low, interval.high});
  };
  const auto side_of = [&](const Side& side, double middle, const Interval& interval) {
    return ordered_json{{"source", side.source},
                        {"runs", side.values.size()},
                        {"median", middle},
                        {"interval", pair_of(interval)},
                        {"values", side.values}};
  };
  ordered_json differences = ordered_json::array();
  for (const Difference& difference : differences_between(a.conditions, b.conditions)) {
    differences.push_back({{"name", difference.name}, {"a", difference.a}, {"b", difference.b}});
  }
  return {{"schema", "evpool-bench-comparison/1"},
          {"command", command},
          {"metric", options.metric},
          {"better", to_string(better)},
          {"verdict", to_string(comparison.verdict)},
          {"ratio", comparison.ratio},
          {"ratio_interval", pair_of(comparison.ratio_interval)},
          {"p_value", comparison.p_value},
          {"alpha", kAlpha},
          {"differences", differences},
          {"enough_runs", enough_runs(a.values.size(), b.values.size())},
          {"a", side_of(a, comparison.median_a, comparison.interval_a)},
          {"b", side_of(b, comparison.median_b, comparison.interval_b)},
          {"provenance", provenance_to_json(collect_provenance(own_arguments(), kResamplingSeed))}};
}

void print_json(const ordered_json& object) {
  // A path or a command need not be UTF-8.
  fmt::print("{}\n", object.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

// --- The commands ------------------------------------------------------------------------------

int compare(const Options& options) {
  Side a{"A", {}};
  Side b{"B", {}};
  collect(options, a, b);
  const Comparison comparison = compare_samples(a.values, b.values, kAlpha);
  const Better better = better_of(options.metric);
  if (options.form.json) {
    print_json(to_json("compare", options, better, comparison, a, b));
    return kOk;
  }
  print_differences(a, b);
  const bool seen = comparison.verdict != Comparison::no_difference;
  const std::string verdict = (seen ? "" : "no difference seen: ") + describe(comparison, a, b);
  fmt::print("{}\n", verdict);
  print_medians(options, better, comparison, a, b);
  if (!enough_runs(a.values.size(), b.values.size())) {
    fmt::print("{}\n", too_few_runs(a.values.size(), b.values.size()));
  }
  print_closing(options.form, collect_provenance(own_arguments(), kResamplingSeed), verdict);
  return kOk;
}

// By which part of BASE a NEW of so many times BASE is worse.
double worse_by(double ratio, Better better) {
  return better == Better::higher ? 1 - ratio : ratio - 1;
}

void require_enough_runs(std::size_t runs_base, std::size_t runs_new) {
  if (enough_runs(runs_base, runs_new)) return;
  throw Failure(kInvalid, fmt::format("gate: {}", too_few_runs(runs_base, runs_new)));
}

int gate(const Options& options) {
  // Before the time for the runs is spent.
  if (!options.commands.empty()) require_enough_runs(options.runs, options.runs);
  Side base{"BASE", {}};
  Side next{"NEW", {}};
  try {
    collect(options, base, next);
  } catch (const CommandFailure& failure) {  // whose status may look like a regression
    throw Failure(kInvalid, failure.what());
  }
  require_enough_runs(base.values.size(), next.values.size());

  const Comparison comparison = compare_samples(base.values, next.values, kAlpha);
  const Better better = options.better;
  const bool seen_worse = comparison.verdict ==
                          (better == Better::higher ? Comparison::a_higher : Comparison::b_higher);
  const bool regression = seen_worse && worse_by(comparison.ratio, better) > options.min_effect;
  const int status = regression ? kRegression : kOk;
  if (options.form.json) {
    ordered_json object = to_json("gate", options, better, comparison, base, next);
    object["min_effect"] = options.min_effect;
    object["outcome"] = regression ? "regression" : "pass";
    print_json(object);
    return status;
  }
  print_differences(base, next);
  const double allowed_percent = 100 * options.min_effect;
  const std::string verdict = fmt::format(
      "{} {:.4g} %: {}", regression ? "regression of more than" : "pass, no regression of",
      allowed_percent, describe(comparison, base, next));
  fmt::print("{}\n", verdict);
  print_medians(options, better, comparison, base, next);
  const Interval& interval = comparison.ratio_interval;
  const double at_worst = worse_by(better == Better::higher ? interval.low : interval.high, better);
  if (!regression && at_worst > options.min_effect) {
    fmt::print("one of {:.2g} % is not excluded: more runs would tell\n", 100 * at_worst);
  }
  print_closing(options.form, collect_provenance(own_arguments(), kResamplingSeed), verdict);
  return status;
}

int run_reporting(const std::function<int()>& work) {
  try {
    return work();
  } catch (const Failure& failure) {
    complain("evpool-bench", failure.what());
    return failure.status();
  }
}

// --- The command line --------------------------------------------------------------------------

void add_common_options(CLI::App& command, Options& options, const std::string& name_a,
                        const std::string& name_b) {
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.add_option(name_a + ".json", options.file_a, "Results of " + name_a + ", one or more")
      ->type_name("FILE");
  command.add_option(name_b + ".json", options.file_b, "Results of " + name_b)->type_name("FILE");
  CLI::Option* const commands =
      command
          .add_option(
              "--ab", options.commands,
              fmt::format("Instead of files: run these two through /bin/sh in turn ({0} {1} "
                          "{1} {0} ...); each prints one result",
                          name_a, name_b))
          ->expected(2)
          ->type_name("COMMAND COMMAND");
  command.add_option("--runs", options.runs, "Runs of each command of --ab")
      ->transform(whole_number(1, kMaxRuns))
      ->capture_default_str()
      ->needs(commands);
  command
      .add_option("--metric", options.metric,
                  "A number in the results: latency_us.p99.9, generator.cpu_us_per_job")
      ->type_name("PATH")
      ->capture_default_str();
  add_report_flags(command, options.form);
}

void require_two_sides(const Options& options, const std::string& name_a,
                       const std::string& name_b) {
  const bool has_files = !options.file_a.empty() || !options.file_b.empty();
  const bool has_both = !options.file_a.empty() && !options.file_b.empty();
  if (options.commands.empty() ? has_both : !has_files) return;
  throw CLI::ValidationError(fmt::format(
      "give two files, {}.json and {}.json, or two commands with --ab", name_a, name_b));
}

// "5%" as 0.05.
double parse_percentage(const std::string& text) {
  constexpr double kLargestPercent = 1'000;
  double percent = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, percent);
  const bool is_percentage = error == std::errc() && end - stop == 1 && *stop == '%';
  if (!is_percentage || !(percent >= 0 && percent <= kLargestPercent)) {
    throw std::invalid_argument(fmt::format("'{}' is not a percentage such as 5%", text));
  }
  return percent / 100;
}

}  // namespace

// Whoever calls `chosen` may do so after the App is gone: the options belong to both.

void add_compare_command(CLI::App& app, std::function<int()>& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App& command =
      *app.add_subcommand("compare", "Is there a difference between the results of A and of B?");
  add_common_options(command, *options, "A", "B");
  command.footer(
      "Exit status: 0 compared; 2 usage, a file or metric that is not there, or unlike runs in one "
      "sample;\n3 a run is invalid or its replies were wrong; that of a command of --ab that "
      "failed.");
  command.callback([options, &chosen] {
    require_two_sides(*options, "A", "B");
    chosen = [options] { return run_reporting([&] { return compare(*options); }); };
  });
}

void add_gate_command(CLI::App& app, std::function<int()>& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("gate", "Is NEW worse than BASE?");
  add_common_options(command, *options, "BASE", "NEW");
  add_parsed_option(
      command, "--min-effect",
      [options](const std::string& text) { options->min_effect = parse_percentage(text); },
      "A change for the worse of at most this passes")
      ->type_name("PERCENT")
      ->default_str("5%");
  add_parsed_option(
      command, "--better",
      [options](const std::string& text) {
        if (text != "higher" && text != "lower") throw std::invalid_argument("say higher or lower");
        options->better = text == "higher" ? Better::higher : Better::lower;
      },
      "Which way the metric is better; known of jobs_per_second, durations and CPU time")
      ->type_name("higher|lower");
  command.footer(
      "Exit status: 0 pass; 1 a regression, both significant and larger than --min-effect;\n2 "
      "usage, a file or metric that is not there, or unlike runs in one sample;\n3 a run is "
      "invalid or its replies were wrong, or there are too few to tell.");
  command.callback([options, &chosen] {
    require_two_sides(*options, "BASE", "NEW");
    if (options->better == Better::unknown) options->better = better_of(options->metric);
    if (options->better == Better::unknown) {
      throw CLI::ValidationError("say with --better whether " + options->metric +
                                 " is better higher or lower");
    }
    chosen = [options] { return run_reporting([&] { return gate(*options); }); };
  });
}

}  // namespace evpool::bench
