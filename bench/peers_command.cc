#include "bench/peers_command.h"

#include <fmt/format.h>
#include <unistd.h>

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

#include "bench/contestants.h"
#include "bench/exit_status.h"
#include "bench/load/generator.h"
#include "bench/load/provenance.h"
#include "bench/load/significance.h"
#include "bench/report_json.h"
#include "client/command_line.h"
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

struct Row {
  const char* name;
  std::size_t connections;
  std::size_t in_flight;
};
constexpr Row kRows[] = {{"50x1", 50, 1}, {"50x16", 50, 16}, {"50x128", 50, 128}, {"1x1", 1, 1}};

struct Options {
  std::vector<std::string> rows;  // none: all
  std::size_t rounds = 5;
  milliseconds duration{1'000};
  std::uint32_t size = 32;
  bool json = false;
};

// --- Measuring -----------------------------------------------------------------------------------

struct Sample {
  double jobs_per_second = 0;
  double cpu_us_per_job = 0;
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

// Of each round in which both were measured: what the machine was like then falls out.
std::vector<double> ratios_of(const Cell& evpool, const Cell& peer) {
  std::vector<double> ratios;
  for (std::size_t round = 0; round < std::min(evpool.rounds.size(), peer.rounds.size()); ++round) {
    if (!evpool.rounds[round] || !peer.rounds[round]) continue;
    ratios.push_back(evpool.rounds[round]->jobs_per_second / peer.rounds[round]->jobs_per_second);
  }
  return ratios;
}

class Match {
 public:
  explicit Match(Options options)
      : options_(std::move(options)), contestants_(make_contestants(options_.size)) {
    for (const Row& row : kRows) {
      const auto& wanted = options_.rows;
      if (wanted.empty() || std::find(wanted.begin(), wanted.end(), row.name) != wanted.end()) {
        rows_.push_back(row);
      }
    }
    cells_.assign(rows_.size(), std::vector<Cell>(contestants_.size()));
  }

  void play() {
    for (std::size_t i = 0; i < contestants_.size(); ++i) start(i);
    for (std::size_t round = 0; round < options_.rounds; ++round) {
      for (std::size_t row = 0; row < rows_.size(); ++row) {
        for (std::size_t turn = 0; turn < contestants_.size(); ++turn) {
          // Nobody is always the first, or always after the same one's noise.
          measure(round, row, (turn + round) % contestants_.size());
        }
      }
    }
  }

  void print_text() const;
  void print_json() const;
  [[nodiscard]] int exit_status() const;

 private:
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
    show_progress(fmt::format("round {} of {}: tcp {}, {}", round + 1, options_.rounds,
                              rows_[row].name, contestant.name()));
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
  std::optional<Sample> run(Contestant& contestant, const Row& row, Cell& cell) const {
    LoadOptions load;
    load.server = contestant.address();
    load.connections = row.connections;
    load.in_flight = row.in_flight;
    load.mix[0].job = contestant.job();
    load.mix[0].size = {.least = options_.size, .most = options_.size};
    load.timeout = kReplyTimeout;
    load.warm_up = milliseconds(0);
    RunControl control;
    load.duration = kWarmUp;
    static_cast<void>(run_load(load, contestant.dialect(), control));

    load.duration = options_.duration;
    const double cpu_before_s = contestant.cpu_seconds();
    const LoadResult result = run_load(load, contestant.dialect(), control);
    const double cpu_s = contestant.cpu_seconds() - cpu_before_s;

    const Account& account = result.account;
    cell.not_ok += account.all_refused() + account.lost;
    cell.wrong |= account.wrong > 0;
    if (account.wrong > 0) cell.trouble = fmt::format("{} replies were wrong", account.wrong);
    if (account.connections_lost > 0) {
      cell.trouble = fmt::format("it closed {} connections", account.connections_lost);
    }
    if (!result.invalid.empty()) cell.trouble = result.invalid.front();
    if (!cell.trouble.empty()) return std::nullopt;
    return Sample{result.jobs_per_second(), cpu_s * 1e6 / static_cast<double>(account.ok)};
  }

  static void show_progress(const std::string& text) {
    if (isatty(STDERR_FILENO) != 1) return;
    fmt::print(stderr, "\r\x1B[K{}", text);
  }

  [[nodiscard]] std::string cell_text(std::size_t row, std::size_t index,
                                      const std::string& figure) const {
    const Cell& cell = cells_[row][index];
    if (!cell.trouble.empty()) return cell.ended ? "ended" : "failed";
    return contestants_[index]->is_installed() ? figure : "-";
  }
  [[nodiscard]] std::vector<std::string> notes() const;

  const Options options_;
  const std::vector<std::unique_ptr<Contestant>> contestants_;
  std::vector<Row> rows_;
  std::vector<std::vector<Cell>> cells_;  // by row and contestant
};

// --- Showing -------------------------------------------------------------------------------------

std::vector<std::string> Match::notes() const {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < contestants_.size(); ++i) {
    const Contestant& contestant = *contestants_[i];
    if (!contestant.is_installed() && cells_[0][i].trouble.empty()) {
      lines.push_back(fmt::format("{} is not installed: apt-get install {}", contestant.name(),
                                  contestant.package()));
      continue;
    }
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      const Cell& cell = cells_[row][i];
      const std::string where = fmt::format("{}, tcp {}", contestant.name(), rows_[row].name);
      if (!cell.trouble.empty()) lines.push_back(fmt::format("{}: {}", where, cell.trouble));
      if (cell.not_ok > 0) {
        lines.push_back(fmt::format(
            "{}: {} requests were refused or lost, and do not count as jobs", where, cell.not_ok));
      }
    }
  }
  return lines;
}

std::string join_cells(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += fmt::format(" {} |", cell);
  return line;
}

std::string ratio_text(const std::vector<double>& ratios) {
  const Spread spread = spread_of(ratios);
  return fmt::format("{:.2f} ({:.2f} to {:.2f})", spread.median, spread.least, spread.greatest);
}

void Match::print_text() const {
  fmt::print("TCP, closed loop, {} bytes, {} rounds of {}: medians; of ratios also the range\n\n",
             options_.size, options_.rounds, to_string(options_.duration));
  std::vector<std::string> head = {"row", "figure"};
  std::vector<std::string> ruler = {"---", "---"};
  for (const auto& contestant : contestants_) {
    head.push_back(contestant->name());
    ruler.emplace_back("---:");
  }
  fmt::print("{}\n{}\n", join_cells(head), join_cells(ruler));

  for (std::size_t row = 0; row < rows_.size(); ++row) {
    std::vector<std::string> rates = {fmt::format("tcp {}", rows_[row].name), "jobs/s"};
    std::vector<std::string> ratios = {"", "evpool's to its"};
    std::vector<std::string> costs = {"", "server CPU us/job"};
    for (std::size_t i = 0; i < contestants_.size(); ++i) {
      const Cell& cell = cells_[row][i];
      const std::vector<double> rate = values_of(cell, &Sample::jobs_per_second);
      const std::vector<double> cost = values_of(cell, &Sample::cpu_us_per_job);
      const std::vector<double> ratio = ratios_of(cells_[row][0], cell);
      rates.push_back(cell_text(row, i, rate.empty() ? "-" : fmt::format("{:.0f}", median(rate))));
      costs.push_back(cell_text(row, i, cost.empty() ? "-" : fmt::format("{:.2f}", median(cost))));
      ratios.push_back(i == 0 || ratio.empty() || !cell.trouble.empty() ? "-" : ratio_text(ratio));
    }
    for (const auto& line : {rates, ratios, costs}) fmt::print("{}\n", join_cells(line));
  }
  const std::vector<std::string> lines = notes();
  if (!lines.empty()) fmt::print("\n");
  for (const std::string& line : lines) fmt::print("{}\n", line);
}

Json spread_to_json(const std::vector<double>& values) {
  if (values.empty()) return nullptr;
  const Spread spread = spread_of(values);
  return {{"median", spread.median},
          {"least", spread.least},
          {"most", spread.greatest},
          {"rounds", values}};
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
          {"jobs_per_second", spread_to_json(values_of(cell, &Sample::jobs_per_second))},
          {"server_cpu_us_per_job", spread_to_json(values_of(cell, &Sample::cpu_us_per_job))},
          {"refused_or_lost", cell.not_ok}};
      if (i > 0) server["evpool_ratio"] = spread_to_json(ratios_of(cells_[row][0], cell));
      servers[contestants_[i]->name()] = std::move(server);
    }
    rows.push_back({{"row", fmt::format("tcp {}", rows_[row].name)},
                    {"connections", rows_[row].connections},
                    {"in_flight", rows_[row].in_flight},
                    {"servers", std::move(servers)}});
  }
  const Provenance provenance = collect_provenance(own_arguments(), LoadOptions{}.seed);
  const Json object = {{"command", "peers"},
                       {"model", "closed loop"},
                       {"transport", "tcp"},
                       {"payload_bytes", options_.size},
                       {"rounds", options_.rounds},
                       {"duration_ms", options_.duration.count()},
                       {"provenance", provenance_to_json(provenance)},
                       {"rows", std::move(rows)},
                       {"notes", notes()}};
  fmt::print("{}\n", object.dump(2, ' ', false, Json::error_handler_t::replace));
}

int Match::exit_status() const {
  int status = kOk;
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
  options.json ? match.print_json() : match.print_text();
  return match.exit_status();
}

std::vector<std::string> row_names() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  return names;
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
  command
      .add_option("--row", options->rows,
                  "Only this one: 50x1, 50x16, 50x128 or 1x1, connections x in flight; repeatable")
      ->check(CLI::IsMember(row_names()).description(""))
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("NAME");
  command.add_option("--size", options->size, "Payload bytes")
      ->check(CLI::Range(1U, kMaxContestantBytes))
      ->capture_default_str();
  command.add_option("--rounds", options->rounds, "How often each is measured")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  add_parsed_option(
      command, "--duration",
      [options](const std::string& text) { options->duration = parse_duration(text); },
      "How long to send in each run")
      ->type_name("DURATION")
      ->default_str(to_string(options->duration));
  command.add_flag("--json", options->json, "Print one JSON object");
  command.callback([&chosen, options] { chosen = [options] { return compare_peers(*options); }; });
}

}  // namespace evpool::bench
