#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/commands.h"
#include "bench/descriptor_limit.h"
#include "bench/exit_status.h"
#include "bench/load/slo.h"
#include "bench/load_flags.h"
#include "bench/load_session.h"
#include "bench/numbers.h"
#include "bench/output_file.h"
#include "bench/report_form.h"
#include "bench/report_html.h"
#include "bench/report_json.h"
#include "bench/report_text.h"
#include "bench/sweep_verdict.h"
#include "client/command_line.h"
#include "console/diagnostic.h"
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

struct SweepOptions {
  LoadOptions load;
  std::vector<double> rates;
  double from = 1'000;
  double to = 100'000;
  std::size_t steps = 8;
  ReportForm form;
  bool quiet = false;
  std::string html_path;
};

// Up and down again, so that what a server keeps from its overload is seen: the same rate twice,
// before and after.
std::vector<double> plan(const SweepOptions& options) {
  std::vector<double> rates = options.rates;
  if (rates.empty()) {
    if (options.from > options.to) throw std::invalid_argument("--from is above --to");
    const double step = options.steps < 2 ? 1
                                          : std::pow(options.to / options.from,
                                                     1 / static_cast<double>(options.steps - 1));
    for (std::size_t i = 0; i < options.steps; ++i) {
      rates.push_back(options.from * std::pow(step, static_cast<double>(i)));
    }
  }
  std::sort(rates.begin(), rates.end());
  const std::vector<double> up = rates;
  rates.insert(rates.end(), up.rbegin(), up.rend());
  return rates;
}

double us(std::uint64_t ns) { return static_cast<double>(ns) / 1e3; }

std::string verdicts_on(const LoadResult& result) {
  std::string verdicts;
  if (const auto wrong = describe_wrong(result)) verdicts = "WRONG: " + *wrong;
  if (result.invalid.empty()) return verdicts;
  return verdicts + (verdicts.empty() ? "" : "; ") + "INVALID: " + result.invalid.front();
}

void print_row(const LoadResult& result) {
  fmt::print("{:>12} {:>12} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f} {:>9.3f}% {:>10.1f}  {}\n",
             number_text(result.options.rate.value_or(0)), number_text(result.jobs_per_second()),
             us(result.latency.percentile_ns(50)), us(result.latency.percentile_ns(99)),
             us(result.latency.percentile_ns(99.9)), us(result.latency.max_ns()),
             loss_of(result) * 100, us(result.lag.percentile_ns(99)), verdicts_on(result));
  std::fflush(stdout);
}

int sweep(SweepOptions options) {
  const std::vector<double> rates = plan(options);
  OutputFile html(options.html_path);
  require_descriptors(options.load.connections, options.load.threads);
  LoadSession session(!options.quiet);
  std::vector<LoadResult> results;
  std::string broke_off;
  if (!options.form.json) {
    fmt::print("{:>12} {:>12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "rate/s", "jobs/s",
               "p50 us", "p99 us", "p99.9 us", "max us", "not ok", "lag p99 us");
  }
  for (const double rate : rates) {
    LoadOptions load = options.load;
    load.rate = rate;
    load.seed += results.size();  // other arrivals in each, on the way down, too
    try {
      results.push_back(session.run(load));
    } catch (const std::exception& error) {
      if (results.empty()) throw;
      broke_off = fmt::format("the sweep broke off at {}/s: {}", number_text(rate), error.what());
      break;
    }
    if (!options.form.json) print_row(results.back());
    if (session.interrupted()) break;
  }
  const Provenance provenance = collect_provenance(own_arguments(), options.load.seed);
  // Before the rest is printed: that may fail, too, and must not take it with it.
  const std::string failures =
      write_all({{html, sweep_html(results, rates.size() / 2, provenance)}});
  if (options.form.json) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const LoadResult& result : results) all.push_back(result_to_json(result, provenance));
    fmt::print("{}\n", all.dump(2));
  } else {
    print_closing(options.form, provenance, sweep_verdict(results, rates.size() / 2));
  }
  if (!broke_off.empty()) complain("evpool-bench", broke_off);
  if (!failures.empty()) complain("evpool-bench", failures);
  const auto is_wrong = [](const LoadResult& result) { return result.account.wrong > 0; };
  if (std::any_of(results.begin(), results.end(), is_wrong)) return kWrongReplies;
  // Rates beyond what the server serves belong to a sweep; a sweep without any other is none.
  const bool any_valid = std::any_of(results.begin(), results.end(),
                                     [](const auto& result) { return result.invalid.empty(); });
  return any_valid && failures.empty() && broke_off.empty() ? kOk : kInvalid;
}

}  // namespace

void add_sweep_command(CLI::App& app, std::function<int()>& chosen) {
  CLI::App& command = *app.add_subcommand(
      "sweep", "Throughput against latency: open loops at rising, then falling rates");
  command.set_help_flag("-h,--help", "Print this help and exit");
  const auto options = std::make_shared<SweepOptions>();
  options->load.duration = std::chrono::seconds(2);
  const auto flags = std::make_shared<LoadFlags>(command, options->load);
  flags->add_length();
  auto* const rates =
      command.add_option("--rates", options->rates, "The rates, separated by commas")
          ->delimiter(',')
          ->transform(possible_rate())
          ->type_name("LIST");
  for (CLI::Option* const option :
       {command.add_option("--from", options->from, "Instead: the lowest rate"),
        command.add_option("--to", options->to, "The highest rate")}) {
    option->transform(possible_rate())->excludes(rates)->capture_default_str();
  }
  command.add_option("--steps", options->steps, "How many rates, evenly spaced in their logarithm")
      ->transform(whole_number(1, 1'000))
      ->excludes(rates)
      ->capture_default_str();
  add_report_flags(command, options->form, "Print a JSON array of results");
  command.add_flag("--quiet", options->quiet, "No live display");
  command.add_option("--html", options->html_path, "Write a page with plots there")
      ->type_name("FILE");
  command.callback([options, flags, &chosen] {
    options->load.rate = 1;  // for the flags' defaults: it is an open loop
    flags->finish();
    chosen = [options] { return sweep(*options); };
  });
}

}  // namespace evpool::bench
