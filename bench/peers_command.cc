#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/commands.h"
#include "bench/contestants.h"
#include "bench/descriptor_limit.h"
#include "bench/exit_status.h"
#include "bench/interrupts.h"
#include "bench/load/generator.h"
#include "bench/load/provenance.h"
#include "bench/load/significance.h"
#include "bench/markdown_table.h"
#include "bench/numbers.h"
#include "bench/report_json.h"
#include "bench/report_text.h"
#include "bench/row.h"
#include "bench/series.h"
#include "console/diagnostic.h"
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

using std::chrono::milliseconds;
using Json = nlohmann::ordered_json;

// Before each measured run, with connections of its own: it is over when the processor time of the
// measured one begins to count, so that each of its jobs is in both.
constexpr milliseconds kWarmUp{200};
// A full queue of 50 x 128 jobs takes a gearmand a second or more when the machine is slow.
constexpr milliseconds kReplyTimeout{30'000};
// A lost datagram keeps its place in flight until then, as if its server were slow.
constexpr milliseconds kDatagramTimeout{100};

struct Options {
  SeriesOptions series;
  std::vector<std::string> rows{"tcp-50x1", "tcp-50x16", "tcp-50x128",
                                "tcp-1x1",  "udp-1x64",  "udp-1x256-offload"};
};

// --- Measuring -----------------------------------------------------------------------------------

struct Sample {
  double jobs_per_second = 0;
  double cpu_us_per_job = 0;
  double p50_us = 0;
};

// A row of one contestant.
struct Cell {
  std::vector<std::optional<Sample>> rounds;
  std::string trouble;  // why there are no more of them
  bool ended = false;   // the server has, that is
  bool wrong = false;
  std::uint64_t not_ok = 0;
};

std::vector<double> values_of(const Cell& cell, double Sample::*figure) {
  std::vector<double> values;
  for (const auto& sample : cell.rounds) {
    if (sample) values.push_back((*sample).*figure);
  }
  return values;
}

// a to b in each round in which both were measured: what the machine was like then falls out.
std::vector<double> ratios_of(const Cell& a, const Cell& b, double Sample::*figure) {
  std::vector<double> ratios;
  for (std::size_t round = 0; round < std::min(a.rounds.size(), b.rounds.size()); ++round) {
    if (!a.rounds[round] || !b.rounds[round]) continue;
    const double below = (*b.rounds[round]).*figure;
    ratios.push_back(below > 0 ? (*a.rounds[round]).*figure / below : 0);
  }
  return ratios;
}

class Match {
 public:
  explicit Match(const Options& options)
      : options_(options.series),
        contestants_(make_contestants(options_)),
        rows_(parse_rows(options.rows)) {
    cells_.assign(rows_.size(), std::vector<Cell>(contestants_.size()));
  }

  void play() {
    require_descriptors(most_connections(rows_));  // the servers inherit them
    for (std::size_t i = 0; i < contestants_.size(); ++i) start(i);
    const Interrupts interrupts(control_.stop_requests, Interrupts::Second::ends_the_process);
    for (std::size_t round = 0; round < static_cast<std::size_t>(options_.rounds); ++round) {
      for (std::size_t row = 0; row < rows_.size(); ++row) {
        for (std::size_t turn = 0; turn < contestants_.size(); ++turn) {
          // Nobody is always the first, or always after the same one's noise.
          measure(round, row, (turn + round) % contestants_.size());
          if (interrupted()) return;
        }
      }
    }
  }

  void print_text() const;
  void print_json() const;
  [[nodiscard]] int exit_status() const;

 private:
  [[nodiscard]] bool interrupted() const { return control_.stop_requests.load() > 0; }

  void start(std::size_t index) {
    try {
      contestants_[index]->start();
      return;
    } catch (const std::exception& error) {
      for (auto& row : cells_) row[index].trouble = fmt::format("not started: {}", error.what());
    }
  }

  void measure(std::size_t round, std::size_t row, std::size_t index) {
    Contestant& contestant = *contestants_[index];
    Cell& cell = cells_[row][index];
    cell.rounds.resize(round + 1);
    if (!contestant.is_installed() || !cell.trouble.empty()) return;
    if (!contestant.can_do(rows_[row])) return;
    show_progress(fmt::format("round {} of {}: {}, {}", round + 1, options_.rounds, rows_[row].name,
                              contestant.name()));
    try {
      if (contestant.is_running()) {
        cell.rounds[round] = run(contestant, rows_[row], cell);
      } else {
        cell.trouble = "before its turn";
      }
    } catch (const std::exception& error) {
      cell.trouble = error.what();
    }
    if (!cell.trouble.empty() && !contestant.is_running()) {
      cell.ended = true;
      cell.trouble = "it has ended: " + cell.trouble;
    }
    show_progress("");
  }

  // None, and the cell says why, when the run must not be believed.
  std::optional<Sample> run(Contestant& contestant, const Row& row, Cell& cell) {
    contestant.prepare(row);
    LoadOptions load;
    load.server = contestant.address();
    load.transport = row.transport;
    load.connections = row.connections;
    load.in_flight = row.in_flight;
    load.mix[0].job = contestant.job();
    load.mix[0].size = {.least = row.payload_bytes, .most = row.payload_bytes};
    load.timeout = row.transport == Transport::tcp ? kReplyTimeout : kDatagramTimeout;
    load.offload = row.offload;
    load.warm_up = milliseconds(0);
    load.duration = kWarmUp;
    static_cast<void>(run_load(load, contestant.dialect(), control_));

    load.duration = options_.duration;
    const double cpu_before_s = contestant.cpu_seconds();
    const LoadResult result = run_load(load, contestant.dialect(), control_);
    const double cpu_s = contestant.cpu_seconds() - cpu_before_s;
    if (interrupted()) return std::nullopt;  // in its midst

    const Account& account = result.account;
    cell.not_ok += account.all_refused() + account.lost;
    cell.wrong |= account.wrong > 0;
    if (account.wrong > 0) cell.trouble = fmt::format("{} replies were wrong", account.wrong);
    if (account.connections_lost > 0) {
      cell.trouble = fmt::format("it closed {} connections", account.connections_lost);
    }
    if (!result.invalid.empty()) cell.trouble = result.invalid.front();
    if (!cell.trouble.empty()) return std::nullopt;
    return Sample{.jobs_per_second = result.jobs_per_second(),
                  .cpu_us_per_job = cpu_s * 1e6 / static_cast<double>(account.ok),
                  .p50_us = static_cast<double>(result.latency.percentile_ns(50)) / 1e3};
  }

  static void show_progress(const std::string& text) {
    if (isatty(STDERR_FILENO) != 1) return;
    say("\r\x1B[K" + text);
  }

  [[nodiscard]] std::string cell_text(std::size_t row, std::size_t index,
                                      const std::string& figure) const {
    const Cell& cell = cells_[row][index];
    if (!cell.trouble.empty()) return cell.ended ? "ended" : "failed";
    return contestants_[index]->is_installed() ? figure : "-";
  }
  [[nodiscard]] std::vector<std::string> notes() const;
  [[nodiscard]] std::string essence() const;

  const SeriesOptions options_;
  const std::vector<std::unique_ptr<Contestant>> contestants_;
  const std::vector<Row> rows_;
  std::vector<std::vector<Cell>> cells_;  // by row and contestant
  RunControl control_;
};

// --- Showing -------------------------------------------------------------------------------------

std::vector<std::string> Match::notes() const {
  std::vector<std::string> lines;
  if (interrupted()) lines.emplace_back("interrupted: not all rounds were measured");
  for (std::size_t i = 0; i < contestants_.size(); ++i) {
    const Contestant& contestant = *contestants_[i];
    if (!contestant.is_installed() && cells_[0][i].trouble.empty()) {
      lines.push_back(fmt::format("{} is not installed: apt-get install {}", contestant.name(),
                                  contestant.package()));
      continue;
    }
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      const Cell& cell = cells_[row][i];
      const std::string where = fmt::format("{}, {}", contestant.name(), rows_[row].name);
      if (!cell.trouble.empty()) lines.push_back(fmt::format("{}: {}", where, cell.trouble));
      if (cell.not_ok > 0) {
        lines.push_back(fmt::format(
            "{}: {} requests were refused or lost, and do not count as jobs", where, cell.not_ok));
      }
    }
  }
  return lines;
}

// "evpool's jobs/s to those of redis ECHO 0.71 to 1.72, memcached get 1.03 to 23.69"
std::string Match::essence() const {
  std::string text = interrupted() ? "BROKE OFF: " : "";
  text += "evpool's jobs/s to those of";
  bool any = false;
  for (std::size_t i = 1; i < contestants_.size(); ++i) {
    std::vector<double> medians;
    for (const auto& row : cells_) {
      const std::vector<double> rounds = ratios_of(row[0], row[i], &Sample::jobs_per_second);
      if (!rounds.empty()) medians.push_back(median(rounds));
    }
    if (medians.empty()) continue;
    text += fmt::format("{} {} {}", any ? "," : "", contestants_[i]->name(), range_text(medians));
    any = true;
  }
  return any ? text : text + " its peers: none of them was measured";
}

void Match::print_text() const {
  const std::vector<std::string> lines = notes();
  for (const std::string& line : lines) fmt::print("{}\n", line);
  if (!lines.empty()) fmt::print("\n");
  fmt::print(
      "## evpool beside its peers: closed loop, medians of {} rounds of {}\n\n"
      "A row is {}, 32 bytes where it says no size. A ratio is the median of the rounds' ratios, "
      "with their range.\n\n",
      options_.rounds, to_string(options_.duration), kRowForm);
  std::vector<std::string> head = {"row", "figure"};
  for (const auto& contestant : contestants_) head.push_back(contestant->name());
  MarkdownTable table(head);

  for (std::size_t row = 0; row < rows_.size(); ++row) {
    std::vector<std::string> rates = {rows_[row].name, "jobs/s"};
    std::vector<std::string> ratios = {"", "evpool's to its"};
    std::vector<std::string> costs = {"", "server CPU us/job"};
    std::vector<std::string> savings = {"", "jobs/CPU second, evpool's to its"};
    std::vector<std::string> times = {"", "round trip p50 us"};
    const Cell& evpool = cells_[row][0];
    for (std::size_t i = 0; i < contestants_.size(); ++i) {
      const Cell& cell = cells_[row][i];
      const auto add_median = [&](std::vector<std::string>& line, double Sample::*figure,
                                  int digits) {
        const std::vector<double> values = values_of(cell, figure);
        line.push_back(cell_text(
            row, i, values.empty() ? "-" : fmt::format("{:.{}f}", median(values), digits)));
      };
      const std::vector<double> rates_of_it = values_of(cell, &Sample::jobs_per_second);
      rates.push_back(
          cell_text(row, i, rates_of_it.empty() ? "-" : number_text(median(rates_of_it))));
      add_median(costs, &Sample::cpu_us_per_job, 2);
      add_median(times, &Sample::p50_us, 0);
      const auto add_ratio = [&](std::vector<std::string>& line,
                                 const std::vector<double>& values) {
        const bool none = i == 0 || values.empty() || !cell.trouble.empty();
        line.push_back(none ? "-" : spread_text(values));
      };
      add_ratio(ratios, ratios_of(evpool, cell, &Sample::jobs_per_second));
      add_ratio(savings, ratios_of(cell, evpool, &Sample::cpu_us_per_job));
    }
    for (const auto& line : {rates, ratios, costs, savings, times}) table.add(line);
  }
  fmt::print("{}", table.text());
  print_closing(options_.form, collect_provenance(own_arguments(), LoadOptions{}.seed), essence());
}

void Match::print_json() const {
  Json rows = Json::array();
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    Json servers = Json::object();
    for (std::size_t i = 0; i < contestants_.size(); ++i) {
      const Cell& cell = cells_[row][i];
      Json server = {
          {"installed", contestants_[i]->is_installed() || !cell.trouble.empty()},
          {"trouble", cell.trouble.empty() ? Json(nullptr) : Json(cell.trouble)},
          {"jobs_per_second", spread_json(values_of(cell, &Sample::jobs_per_second))},
          {"server_cpu_us_per_job", spread_json(values_of(cell, &Sample::cpu_us_per_job))},
          {"p50_us", spread_json(values_of(cell, &Sample::p50_us))},
          {"refused_or_lost", cell.not_ok}};
      if (i > 0) {
        const Cell& evpool = cells_[row][0];
        server["evpool_ratio"] = spread_json(ratios_of(evpool, cell, &Sample::jobs_per_second));
        server["evpool_jobs_per_cpu_second_ratio"] =
            spread_json(ratios_of(cell, evpool, &Sample::cpu_us_per_job));
      }
      servers[contestants_[i]->name()] = std::move(server);
    }
    rows.push_back({{"row", rows_[row].name},
                    {"transport", transport_name(rows_[row].transport)},
                    {"payload_bytes", rows_[row].payload_bytes},
                    {"offload", rows_[row].offload},
                    {"connections", rows_[row].connections},
                    {"in_flight", rows_[row].in_flight},
                    {"servers", std::move(servers)}});
  }
  const Provenance provenance = collect_provenance(own_arguments(), LoadOptions{}.seed);
  const Json object = {{"schema", "evpool-bench-peers/1"},
                       {"command", "peers"},
                       {"model", "closed loop"},
                       {"rounds", options_.rounds},
                       {"duration_ms", options_.duration.count()},
                       {"provenance", provenance_to_json(provenance)},
                       {"rows", std::move(rows)},
                       {"notes", notes()}};
  fmt::print("{}\n", object.dump(2, ' ', false, Json::error_handler_t::replace));
}

int Match::exit_status() const {
  int status = interrupted() ? kInvalid : kOk;
  for (const auto& row : cells_) {
    for (const Cell& cell : row) {
      if (cell.wrong) return kWrongReplies;
      if (!cell.trouble.empty()) status = kInvalid;
    }
  }
  return status;
}

int compare_peers(const Options& options) {
  Match match(options);
  match.play();
  options.series.form.json ? match.print_json() : match.print_text();
  return match.exit_status();
}

}  // namespace

void add_peers_command(CLI::App& app, std::function<int()>& chosen) {
  CLI::App& command = *app.add_subcommand(
      "peers", "Measures evpoold beside redis, memcached and gearmand, in turn");
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.footer(
      "Each is started on a free port of 127.0.0.1, where it is installed.\n"
      "Exit status: 0 ok; 1 replies were wrong; 2 usage; 3 a server could not be measured.");
  const auto options = std::make_shared<Options>();
  add_row_flag(command, options->rows);
  add_series_flags(command, options->series);
  command.callback([&chosen, options] { chosen = [options] { return compare_peers(*options); }; });
}

}  // namespace evpool::bench
