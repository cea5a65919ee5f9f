#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/commands.h"
#include "bench/descriptor_limit.h"
#include "bench/exit_status.h"
#include "bench/load/dialect.h"
#include "bench/load/provenance.h"
#include "bench/load_flags.h"
#include "bench/markdown_table.h"
#include "bench/numbers.h"
#include "bench/report_json.h"
#include "bench/row.h"
#include "bench/row_run.h"
#include "bench/series.h"
#include "bench/series_watch.h"
#include "client/client.h"
#include "client/command_line.h"
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

using Json = nlohmann::ordered_json;

struct ConnectionsOptions {
  SeriesOptions series;
  std::size_t connections = 10'000;
  double active = 0.01;
  std::size_t in_flight = 1;  // on each active one
};

struct Measured {
  std::vector<double> few_jobs_per_second;
  std::vector<double> many_jobs_per_second;
  std::vector<double> few_p50_us;
  std::vector<double> many_p50_us;
  std::vector<double> bytes_per_idle;  // of evpoold's resident memory
  std::uint64_t wrong = 0;
  std::vector<std::string> faults;
};

Row row_of(std::size_t connections, std::size_t in_flight) {
  return parse_row(fmt::format("tcp-{}x{}", connections, in_flight));
}

std::size_t active_of(const ConnectionsOptions& options) {
  const double active = options.active * static_cast<double>(options.connections);
  return std::clamp<std::size_t>(static_cast<std::size_t>(active), 1, options.connections - 1);
}

// The active ones, whether others are there or not.
Row active_row(const ConnectionsOptions& options) {
  return row_of(active_of(options), options.in_flight);
}

std::unique_ptr<ChildProgram> start_server(const ConnectionsOptions& options) {
  return start_evpoold(options.series,
                       {"--max-connections", std::to_string(options.connections + 1)});
}

// Connections that have had one job done, and want no more.
std::vector<Client> open_idle(const Address& address, std::size_t count) {
  std::vector<Client> idle;
  idle.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    Client& client = idle.emplace_back(address, ClientOptions{.max_in_flight = 1});
    const CallResult result = client.call("upper", "idle");
    if (!result.ok()) {
      throw std::runtime_error(
          fmt::format("connection {} of {} was not served: {}", i + 1, count, result.payload));
    }
  }
  return idle;
}

void keep(const char* what, const RowRun& run, std::vector<double>& jobs_per_second,
          std::vector<double>& p50_us, Measured& measured) {
  jobs_per_second.push_back(run.figures.jobs_per_second);
  p50_us.push_back(run.figures.p50_us);
  measured.wrong += run.wrong;
  for (const std::string& fault : run.faults) {
    measured.faults.push_back(fmt::format("{}: {}", what, fault));
  }
}

void measure_few(const ConnectionsOptions& options, Measured& measured, SeriesWatch& watch) {
  const auto server = start_server(options);
  const RowRun run = run_row(active_row(options), *server, *make_frame_dialect(),
                             options.series.duration, watch.control());
  watch.check();
  keep("few", run, measured.few_jobs_per_second, measured.few_p50_us, measured);
}

void measure_many(const ConnectionsOptions& options, Measured& measured, SeriesWatch& watch) {
  const auto server = start_server(options);
  const auto dialect = make_frame_dialect();
  const Row row = active_row(options);
  const std::size_t idle = options.connections - active_of(options);
  // What the first jobs make resident is not the idle connections'.
  static_cast<void>(run_row(row, *server, *dialect, kRowWarmUp, watch.control()));
  watch.check();
  const std::uint64_t before = server->resident_bytes();
  const std::vector<Client> clients = open_idle(*server->listening("tcp"), idle);
  const std::uint64_t after = server->resident_bytes();
  const RowRun run = run_row(row, *server, *dialect, options.series.duration, watch.control());
  watch.check();
  measured.bytes_per_idle.push_back((static_cast<double>(after) - static_cast<double>(before)) /
                                    static_cast<double>(idle));
  keep("many", run, measured.many_jobs_per_second, measured.many_p50_us, measured);
}

// The rounds in which both were measured.
void keep_finished(Measured& measured) {
  const std::size_t finished =
      std::min(measured.few_jobs_per_second.size(), measured.many_jobs_per_second.size());
  for (std::vector<double>* const rounds :
       {&measured.few_jobs_per_second, &measured.many_jobs_per_second, &measured.few_p50_us,
        &measured.many_p50_us, &measured.bytes_per_idle}) {
    rounds->resize(finished);
  }
}

void print_text(const ConnectionsOptions& options, const Measured& measured,
                const std::string& broke_off) {
  print_troubles(broke_off, measured.faults);
  const std::size_t active = active_of(options);
  fmt::print(
      "## {} connections, {} of them active ({}), beside these alone: closed loop, medians of {} "
      "rounds of {}\n\n"
      "A ratio is the median of the rounds' ratios, with their range.\n\n",
      options.connections, active, active_row(options).name, options.series.rounds,
      to_string(options.series.duration));
  MarkdownTable table({"figure", fmt::format("{} alone", active),
                       fmt::format("of {}", options.connections), "many/few"});
  table.add({"jobs/s", number_text(median(measured.few_jobs_per_second)),
             number_text(median(measured.many_jobs_per_second)),
             spread_text(ratios_of(measured.many_jobs_per_second, measured.few_jobs_per_second))});
  table.add({"p50 us", fmt::format("{:.1f}", median(measured.few_p50_us)),
             fmt::format("{:.1f}", median(measured.many_p50_us)),
             spread_text(ratios_of(measured.many_p50_us, measured.few_p50_us))});
  table.add({"bytes of memory for each idle connection", "-",
             number_text(median(measured.bytes_per_idle)), "-"});
  fmt::print("{}", table.text());
  const std::string essence = fmt::format(
      "{} connections serve {} of the jobs/s of the {} active ones alone; an idle one takes {} "
      "bytes",
      options.connections,
      spread_text(ratios_of(measured.many_jobs_per_second, measured.few_jobs_per_second)), active,
      number_text(median(measured.bytes_per_idle)));
  print_closing(options.series.form, collect_provenance(own_arguments(), kRowSeed),
                troubled(broke_off, measured.faults) + essence);
}

void print_json(const ConnectionsOptions& options, const Measured& measured,
                const std::string& broke_off) {
  const Json object = {
      {"schema", "evpool-bench-connections/1"},
      {"command", "connections"},
      {"model", "closed loop"},
      {"connections", options.connections},
      {"active", active_of(options)},
      {"in_flight", options.in_flight},
      {"rounds", options.series.rounds},
      {"duration_ms", options.series.duration.count()},
      {"broke_off", null_if_empty(broke_off)},
      {"few", active_row(options).name},
      {"few_jobs_per_second", spread_json(measured.few_jobs_per_second)},
      {"many_jobs_per_second", spread_json(measured.many_jobs_per_second)},
      {"many_to_few",
       spread_json(ratios_of(measured.many_jobs_per_second, measured.few_jobs_per_second))},
      {"few_p50_us", spread_json(measured.few_p50_us)},
      {"many_p50_us", spread_json(measured.many_p50_us)},
      {"bytes_per_idle_connection", spread_json(measured.bytes_per_idle)},
      {"wrong", measured.wrong},
      {"faults", measured.faults},
      {"provenance", provenance_to_json(collect_provenance(own_arguments(), kRowSeed))}};
  fmt::print("{}\n", object.dump(2, ' ', false, Json::error_handler_t::replace));
}

void measure_rounds(const ConnectionsOptions& options, Measured& measured, SeriesWatch& watch) {
  for (int round = 0; round < options.series.rounds; ++round) {
    show_series_progress("connections", round, options.series);
    const bool few_first = round % 2 == 0;
    if (few_first) measure_few(options, measured, watch);
    measure_many(options, measured, watch);
    if (!few_first) measure_few(options, measured, watch);
  }
}

int run_connections(const ConnectionsOptions& options) {
  require_descriptors(options.connections);  // evpoold inherits them
  Measured measured;
  SeriesWatch watch;
  const std::string broke_off = watch.run([&] { measure_rounds(options, measured, watch); });
  if (!broke_off.empty()) {
    keep_finished(measured);
    if (measured.few_jobs_per_second.empty()) throw std::runtime_error(broke_off);
  }
  options.series.form.json ? print_json(options, measured, broke_off)
                           : print_text(options, measured, broke_off);
  if (measured.wrong > 0) return kWrongReplies;
  return measured.faults.empty() && broke_off.empty() ? kOk : kInvalid;
}

}  // namespace

void add_connections_command(CLI::App& app, std::function<int()>& chosen) {
  const auto options = std::make_shared<ConnectionsOptions>();
  CLI::App& command = *app.add_subcommand(
      "connections", "evpoold with many connections, most of them idle; starts it itself");
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.add_option("--connections", options->connections, "How many are open")
      ->transform(whole_number(2, 20'000))
      ->capture_default_str();
  add_parsed_option(
      command, "--active",
      [options](const std::string& text) { options->active = parse_share(text); },
      "The share of them that send")
      ->type_name("SHARE")
      ->default_str("1%");
  command.add_option("--in-flight", options->in_flight, "Unanswered requests on each of these")
      ->transform(whole_number(1, 1'000))
      ->capture_default_str();
  add_series_flags(command, options->series);
  command.callback(
      [options, &chosen] { chosen = [options] { return run_connections(*options); }; });
}

}  // namespace evpool::bench
