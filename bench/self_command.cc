#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/commands.h"
#include "bench/descriptor_limit.h"
#include "bench/exit_status.h"
#include "bench/load/dialect.h"
#include "bench/load/generator.h"
#include "bench/load/provenance.h"
#include "bench/load/significance.h"
#include "bench/load_flags.h"
#include "bench/null_server.h"
#include "bench/numbers.h"
#include "bench/plain_client.h"
#include "bench/report_form.h"
#include "bench/report_json.h"
#include "bench/series.h"
#include "bench/series_watch.h"
#include "client/command_line.h"
#include "console/diagnostic.h"
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

constexpr std::chrono::milliseconds kWarmUp{200};
constexpr std::uint64_t kSeed = 1;
constexpr std::uint32_t kPayloadBytes = 32;
constexpr std::string_view kJob = "upper";
// Of what the plainest client reaches. Below it, a server that is as fast as the null server would
// be told slower than it is.
constexpr double kGoal = 0.9;

struct SelfOptions {
  int rounds = 5;
  std::chrono::milliseconds duration{1'000};
  ReportForm form;
};

struct Row {
  const char* name;
  std::size_t connections;
  std::size_t in_flight;
};
constexpr std::array<Row, 4> kRows = {
    {{"50x1", 50, 1}, {"50x16", 50, 16}, {"50x128", 50, 128}, {"1x1", 1, 1}}};

// --- Measuring ---------------------------------------------------------------------------------

enum Contender : std::size_t { kPlain, kRaw, kFrames, kContenders };
constexpr std::array<const char*, kContenders> kContenderKeys = {"plain_client", "generator_raw",
                                                                 "generator_frames"};

// Of one run.
struct Figures {
  double requests_per_second = 0;
  double cpu_ns_per_request = 0;  // the client's
  double calls_per_request = 0;   // the client's, of send and recv
};
using Figure = double Figures::*;

struct MeasuredRow {
  Row row{};
  std::array<std::vector<Figures>, kContenders> rounds;
  std::uint64_t wrong = 0;
  std::vector<std::string> faults;
};

// Asleep while nobody asks them.
struct Servers {
  NullServer raw;
  NullServer frames{
      NullServer::Requests{.name_bytes = kJob.size(), .payload_bytes = kPayloadBytes}};
};

Figures measure_plain_client(const SelfOptions& options, const Row& row, const NullServer& server) {
  const PlainClientResult result = run_plain_client({.server = server.address(),
                                                     .connections = row.connections,
                                                     .in_flight = row.in_flight,
                                                     .bytes = kPayloadBytes,
                                                     .warm_up = kWarmUp,
                                                     .duration = options.duration});
  return {result.replies_per_second, result.cpu_ns_per_reply, result.calls_per_reply};
}

Figures measure_generator(const SelfOptions& options, const NullServer& server,
                          const Dialect& dialect, MeasuredRow& measured, SeriesWatch& watch) {
  LoadOptions load;
  load.server = server.address();
  load.connections = measured.row.connections;
  load.in_flight = measured.row.in_flight;
  load.mix.front().job = kJob;
  load.mix.front().size.least = kPayloadBytes;
  load.mix.front().size.most = kPayloadBytes;
  load.seed = kSeed;
  // The warm-up is a run of its own, so that what the generator spent can be divided by exactly the
  // requests it was spent on.
  load.warm_up = std::chrono::milliseconds{0};
  load.duration = kWarmUp;
  static_cast<void>(run_load(load, dialect, watch.control()));
  watch.check();
  load.duration = options.duration;
  const LoadResult result = run_load(load, dialect, watch.control());
  watch.check();

  const Account& account = result.account;
  measured.wrong += account.wrong;
  measured.faults.insert(measured.faults.end(), result.invalid.begin(), result.invalid.end());
  if (account.ok != account.sent) {
    measured.faults.push_back(fmt::format("{} of {} requests got no right reply",
                                          account.sent - account.ok, account.sent));
  }
  const double requests = std::max(1.0, static_cast<double>(account.ok));
  return {.requests_per_second = result.jobs_per_second(),
          .cpu_ns_per_request = result.cpu_seconds * 1e9 / requests,
          .calls_per_request =
              static_cast<double>(result.send_calls + result.receive_calls) / requests};
}

// All rounds of one row.
void measure_row(const SelfOptions& options, const Servers& servers, MeasuredRow& measured,
                 SeriesWatch& watch) {
  const auto raw = make_raw_dialect(kPayloadBytes);
  const auto frames = make_frame_dialect();
  const Row& row = measured.row;
  for (int round = 0; round < options.rounds; ++round) {
    say(fmt::format("{}: round {} of {}\n", row.name, round + 1, options.rounds));
    for (std::size_t i = 0; i < kContenders; ++i) {
      // Another one begins each round, so that none always follows the same one.
      const std::size_t contender = (static_cast<std::size_t>(round) + i) % kContenders;
      measured.rounds[contender].push_back(
          contender == kPlain ? measure_plain_client(options, row, servers.raw)
          : contender == kRaw
              ? measure_generator(options, servers.raw, *raw, measured, watch)
              : measure_generator(options, servers.frames, *frames, measured, watch));
      watch.check();
    }
  }
}

// The rounds in which all were measured; drops rows without any.
void keep_finished(std::vector<MeasuredRow>& rows) {
  for (MeasuredRow& row : rows) {
    std::size_t finished = SIZE_MAX;
    for (const auto& rounds : row.rounds) finished = std::min(finished, rounds.size());
    for (auto& rounds : row.rounds) rounds.resize(finished);
  }
  std::erase_if(rows, [](const MeasuredRow& row) { return row.rounds[kPlain].empty(); });
}

// --- Showing -----------------------------------------------------------------------------------

double median_of(const MeasuredRow& measured, Contender contender, Figure figure) {
  std::vector<double> values;
  values.reserve(measured.rounds[contender].size());
  for (const Figures& round : measured.rounds[contender]) values.push_back(round.*figure);
  return median(values);
}

// Of the generator's rate with the raw dialect to the plain client's: taken inside each round, in
// which the machine was about as fast for both.
Spread ratio_of(const MeasuredRow& measured) {
  std::vector<double> ratios;
  ratios.reserve(measured.rounds[kPlain].size());
  for (std::size_t i = 0; i < measured.rounds[kPlain].size(); ++i) {
    ratios.push_back(measured.rounds[kRaw][i].requests_per_second /
                     measured.rounds[kPlain][i].requests_per_second);
  }
  return spread_of(ratios);
}

std::string verdict_of(const std::vector<MeasuredRow>& rows) {
  std::string faulty;
  std::string below;
  for (const MeasuredRow& row : rows) {
    const double ratio = ratio_of(row).median;
    if (row.wrong > 0 || !row.faults.empty()) {
      faulty += fmt::format("{}{}", faulty.empty() ? "" : ", ", row.row.name);
    } else if (ratio < kGoal) {
      below += fmt::format("{}{} ({:.2f})", below.empty() ? "" : ", ", row.row.name, ratio);
    }
  }
  if (!faulty.empty()) return fmt::format("INVALID: {}, for the reasons that are told", faulty);
  if (!below.empty()) {
    return fmt::format("the generator is below {:.1f} of the plainest client's rate in {}", kGoal,
                       below);
  }
  return fmt::format("the generator reaches {:.1f} of the plainest client's rate in every row",
                     kGoal);
}

std::vector<std::string> faults_of(const std::vector<MeasuredRow>& rows) {
  std::vector<std::string> faults;
  for (const MeasuredRow& row : rows) {
    for (const std::string& fault : row.faults) {
      faults.push_back(fmt::format("{}: {}", row.row.name, fault));
    }
  }
  return faults;
}

void print_text(const SelfOptions& options, const std::vector<MeasuredRow>& rows,
                const std::string& broke_off) {
  fmt::print("{}\n\n", verdict_of(rows));
  print_troubles(broke_off, faults_of(rows));
  fmt::print(
      "## The generator against a null server: closed loop, {} bytes, median of {} rounds of {}\n\n"
      "A row is CONNECTIONSxIN_FLIGHT. A ratio is the median of the rounds' ratios, with their "
      "range. CPU time is the generator's, system calls are its sends and receives, both with "
      "frames.\n\n"
      "| row | plain client replies/s | generator raw replies/s | generator/plain |"
      " generator frames jobs/s | CPU ns/request | system calls/request |\n"
      "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
      kPayloadBytes, options.rounds, to_string(options.duration));
  for (const MeasuredRow& row : rows) {
    const Spread ratio = ratio_of(row);
    fmt::print("| {} | {} | {} | {:.2f} ({:.2f}..{:.2f}) | {} | {:.0f} | {:.3f} |\n", row.row.name,
               number_text(median_of(row, kPlain, &Figures::requests_per_second)),
               number_text(median_of(row, kRaw, &Figures::requests_per_second)), ratio.median,
               ratio.least, ratio.greatest,
               number_text(median_of(row, kFrames, &Figures::requests_per_second)),
               median_of(row, kFrames, &Figures::cpu_ns_per_request),
               median_of(row, kFrames, &Figures::calls_per_request));
  }
  fmt::print("\n");
  for (const MeasuredRow& row : rows) {
    fmt::print(
        "- {}: the generator drives a null server at {:.2f} of what the plainest client reaches "
        "(goal {:.1f})\n",
        row.row.name, ratio_of(row).median, kGoal);
  }
  print_closing(options.form, collect_provenance(own_arguments(), kSeed),
                troubled(broke_off, {}) + verdict_of(rows));
}

nlohmann::ordered_json to_json(const MeasuredRow& measured, Contender contender) {
  constexpr std::array<std::pair<const char*, Figure>, 3> kFigures = {
      {{"requests_per_second", &Figures::requests_per_second},
       {"cpu_ns_per_request", &Figures::cpu_ns_per_request},
       {"system_calls_per_request", &Figures::calls_per_request}}};
  nlohmann::ordered_json object;
  for (const auto& [key, figure] : kFigures) {
    nlohmann::ordered_json each = nlohmann::ordered_json::array();
    for (const Figures& round : measured.rounds[contender]) each.push_back(round.*figure);
    object[key] = {{"median", median_of(measured, contender, figure)}, {"rounds", each}};
  }
  return object;
}

void print_json(const SelfOptions& options, const std::vector<MeasuredRow>& rows,
                const std::string& broke_off) {
  nlohmann::ordered_json object = {
      {"schema", "evpool-bench-self/1"},
      {"command", "self"},
      {"model", "closed loop"},
      {"payload_bytes", kPayloadBytes},
      {"duration_ms", options.duration.count()},
      {"rounds", options.rounds},
      {"goal", kGoal},
      {"verdict", verdict_of(rows)},
      {"broke_off", null_if_empty(broke_off)},
      {"rows", nlohmann::ordered_json::array()},
  };
  for (const MeasuredRow& measured : rows) {
    nlohmann::ordered_json row = {{"row", measured.row.name},
                                  {"connections", measured.row.connections},
                                  {"in_flight", measured.row.in_flight}};
    for (const Contender contender : {kPlain, kRaw, kFrames}) {
      row[kContenderKeys[contender]] = to_json(measured, contender);
    }
    const Spread ratio = ratio_of(measured);
    row["generator_to_plain"] = {
        {"median", ratio.median}, {"least", ratio.least}, {"greatest", ratio.greatest}};
    row["goal_reached"] = ratio.median >= kGoal;
    row["wrong"] = measured.wrong;
    row["faults"] = measured.faults;
    object["rows"].push_back(row);
  }
  object["provenance"] = provenance_to_json(collect_provenance(own_arguments(), kSeed));
  fmt::print("{}\n", object.dump(2));
}

int run_self(const SelfOptions& options) {
  const auto* const widest = std::max_element(
      kRows.begin(), kRows.end(),
      [](const Row& one, const Row& other) { return one.connections < other.connections; });
  require_descriptors(2 * widest->connections);  // the server's ends are this process's, too
  const Servers servers;
  std::vector<MeasuredRow> rows;
  rows.reserve(kRows.size());
  SeriesWatch watch;
  const std::string broke_off = watch.run([&] {
    for (const Row& row : kRows) {
      MeasuredRow& measured = rows.emplace_back();
      measured.row = row;
      measure_row(options, servers, measured, watch);
    }
  });
  if (!broke_off.empty()) {
    keep_finished(rows);
    if (rows.empty()) throw std::runtime_error(broke_off);
  }
  options.form.json ? print_json(options, rows, broke_off) : print_text(options, rows, broke_off);
  const auto has_wrong = [](const MeasuredRow& row) { return row.wrong > 0; };
  if (std::any_of(rows.begin(), rows.end(), has_wrong)) return kWrongReplies;
  const auto has_faults = [](const MeasuredRow& row) { return !row.faults.empty(); };
  const bool any_faults = std::any_of(rows.begin(), rows.end(), has_faults);
  return any_faults || !broke_off.empty() ? kInvalid : kOk;
}

}  // namespace

void add_self_command(CLI::App& app, std::function<int()>& chosen) {
  const auto options = std::make_shared<SelfOptions>();
  CLI::App& self = *app.add_subcommand(
      "self", "What the generator itself costs, against a server that does nothing");
  self.set_help_flag("-h,--help", "Print this help and exit");
  self.add_option("--rounds", options->rounds, "Runs of each client in each row, in turn")
      ->transform(whole_number(1, 1'000))
      ->capture_default_str();
  add_parsed_option(
      self, "--duration",
      [options](const std::string& text) { options->duration = parse_duration(text); },
      "How long each run lasts, after a warm-up of " + to_string(kWarmUp))
      ->type_name("DURATION")
      ->default_str(to_string(options->duration));
  add_report_flags(self, options->form);
  self.callback([options, &chosen] { chosen = [options] { return run_self(*options); }; });
}

}  // namespace evpool::bench
