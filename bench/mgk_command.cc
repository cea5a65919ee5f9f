#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bench/commands.h"
#include "bench/exit_status.h"
#include "bench/load/provenance.h"
#include "bench/load_flags.h"
#include "bench/markdown_table.h"
#include "bench/numbers.h"
#include "bench/queue_simulator.h"
#include "bench/report_form.h"
#include "bench/report_json.h"
#include "client/command_line.h"

namespace evpool::bench {
namespace {

struct MgkOptions {
  std::size_t workers = 2;
  double load = 0.7;
  std::vector<std::string> kinds{"99:10", "1:5000"};
  std::size_t jobs = 2'000'000;
  std::uint64_t seed = 1;
  ReportForm form;
};

ServiceKind parse_kind(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::string_view service = text.substr(std::min(colon + 1, text.size()));
  return {.weight = parse_positive(text.substr(0, colon)),
          .service_s = parse_positive(service) * 1e-6};
}

std::string refuse_kind(const std::string& text) {
  try {
    static_cast<void>(parse_kind(text));
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

int run_mgk(const MgkOptions& options) {
  std::vector<ServiceKind> kinds;
  for (const std::string& text : options.kinds) kinds.push_back(parse_kind(text));
  const std::vector<SimulatedJob> jobs =
      make_poisson_jobs(kinds, options.workers, options.load, options.jobs, options.seed);
  const std::vector<double> waits = simulate_waits(jobs, options.workers);

  MarkdownTable table({"kind", "service us", "jobs", "mean us", "p50 us", "p99 us", "p99.9 us"});
  nlohmann::ordered_json object = {{"schema", "evpool-bench-mgk/1"},
                                   {"command", "mgk"},
                                   {"workers", options.workers},
                                   {"load", options.load},
                                   {"kinds", nlohmann::ordered_json::array()}};
  std::string essence = fmt::format(
      "{} workers at {:.0f} % load, p99 from arrival to end:", options.workers, options.load * 100);
  for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
    const std::vector<double> sojourns = sorted_sojourns(jobs, waits, kind);
    if (sojourns.empty()) throw std::runtime_error("a kind had no job; simulate more of them");
    double sum_s = 0;
    for (const double sojourn : sojourns) sum_s += sojourn;
    const double mean_us = sum_s / static_cast<double>(sojourns.size()) * 1e6;
    const double p50_us = percentile_of(sojourns, 50) * 1e6;
    const double p99_us = percentile_of(sojourns, 99) * 1e6;
    const double p999_us = percentile_of(sojourns, 99.9) * 1e6;
    const double service_us = kinds[kind].service_s * 1e6;
    table.add({options.kinds[kind], fmt::format("{:.1f}", service_us),
               std::to_string(sojourns.size()), fmt::format("{:.1f}", mean_us),
               fmt::format("{:.1f}", p50_us), fmt::format("{:.1f}", p99_us),
               fmt::format("{:.1f}", p999_us)});
    essence += fmt::format("{} {} us of {}", essence.back() == ':' ? "" : ",", number_text(p99_us),
                           options.kinds[kind]);
    object["kinds"].push_back({{"weight", kinds[kind].weight},
                               {"service_us", service_us},
                               {"jobs", sojourns.size()},
                               {"mean_us", mean_us},
                               {"p50_us", p50_us},
                               {"p99_us", p99_us},
                               {"p99.9_us", p999_us}});
  }
  const Provenance provenance = collect_provenance(own_arguments(), options.seed);
  if (options.form.json) {
    object["provenance"] = provenance_to_json(provenance);
    fmt::print("{}\n", object.dump(2));
  } else {
    fmt::print("## {} workers at {:.0f} % load, on paper: from arrival to end\n\n{}",
               options.workers, options.load * 100, table.text());
    print_closing(options.form, provenance, essence);
  }
  return kOk;
}

}  // namespace

void add_mgk_command(CLI::App& app, std::function<int()>& chosen) {
  const auto options = std::make_shared<MgkOptions>();
  CLI::App& command = *app.add_subcommand(
      "mgk", "A queue on paper: Poisson arrivals, some workers, first come first served");
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.add_option("--workers", options->workers, "Workers")
      ->transform(whole_number(1, 4'096))
      ->capture_default_str();
  add_parsed_option(
      command, "--load", [options](const std::string& text) { options->load = parse_load(text); },
      "For which share of their time they are busy")
      ->type_name("SHARE")
      ->default_str("70%");
  command
      .add_option("--kind", options->kinds,
                  "Kinds of jobs, each WEIGHT:MICROSECONDS, separated by spaces")
      ->check(CLI::Validator(refuse_kind, ""))
      ->type_name("KIND")
      ->capture_default_str();
  command.add_option("--jobs", options->jobs, "How many to simulate")
      ->transform(whole_number(1, 100'000'000))
      ->capture_default_str();
  command.add_option("--seed", options->seed, "Of arrivals and kinds")
      ->transform(whole_number(0))
      ->capture_default_str();
  add_report_flags(command, options->form);
  command.callback([options, &chosen] { chosen = [options] { return run_mgk(*options); }; });
}

}  // namespace evpool::bench
