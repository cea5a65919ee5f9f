#include "bench/floors_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/child_program.h"
#include "bench/exit_status.h"
#include "bench/load/generator.h"
#include "bench/load/provenance.h"
#include "bench/load/significance.h"
#include "bench/report_json.h"
#include "bench/report_text.h"
#include "client/command_line.h"
#include "protocol/constants.h"
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

constexpr std::chrono::milliseconds kWarmUp{200};
constexpr std::uint64_t kSeed = 1;
constexpr std::uint32_t kLeastTcpBuffer_bytes = 65'536;
constexpr std::uint32_t kLeastUdpBuffer_bytes = 2'048;

// --- What is asked for -------------------------------------------------------------------------

struct FloorsOptions {
  std::vector<std::string> rows{"tcp-50x1", "tcp-50x16", "tcp-50x128",
                                "tcp-1x1",  "udp-1x64",  "udp-1x256"};
  std::uint32_t payload_bytes = 32;
  int rounds = 5;
  std::chrono::milliseconds duration{1'000};
  bool offload = false;
  std::string server_program;  // empty: evpoold beside this executable
  std::string server_arguments;
  bool json = false;
};

struct Row {
  std::string name;
  Transport transport = Transport::tcp;
  std::size_t connections = 0;
  std::size_t in_flight = 0;
};

// "tcp-50x16": TRANSPORT-CONNECTIONSxIN_FLIGHT. None: it is no such thing.
std::optional<Row> parse_row(const std::string& name) {
  Row row{.name = name};
  if (name.starts_with("udp-")) {
    row.transport = Transport::udp;
  } else if (!name.starts_with("tcp-")) {
    return std::nullopt;
  }
  const char* const end = name.data() + name.size();
  const auto connections = std::from_chars(name.data() + 4, end, row.connections);
  if (connections.ec != std::errc{} || connections.ptr == end || *connections.ptr != 'x') {
    return std::nullopt;
  }
  const auto in_flight = std::from_chars(connections.ptr + 1, end, row.in_flight);
  if (in_flight.ec != std::errc{} || in_flight.ptr != end) return std::nullopt;
  if (row.connections == 0 || row.in_flight == 0) return std::nullopt;
  return row;
}

std::string refuse_row(const std::string& name) {
  if (parse_row(name)) return {};
  return fmt::format("'{}' is no row; a row is TRANSPORT-CONNECTIONSxIN_FLIGHT: tcp-50x16", name);
}

// --- The servers -------------------------------------------------------------------------------

enum Target : std::size_t { kFloor, kHop, kEvpool, kTargets };
constexpr std::array<const char*, kTargets> kTargetNames = {"floor", "hop floor", "evpool"};
constexpr std::array<const char*, kTargets> kTargetKeys = {"floor", "hop", "evpool"};

std::unique_ptr<ChildProgram> start_program(std::vector<std::string> arguments) {
  if (access(arguments[0].c_str(), X_OK) != 0) {
    throw std::runtime_error(
        fmt::format("there is no program {}; build it: ./dev build", arguments[0]));
  }
  return std::make_unique<ChildProgram>(ChildProgram::Options{.arguments = std::move(arguments)});
}

// Started when first asked for, and kept: idle, they only sleep.
class Servers {
 public:
  explicit Servers(const FloorsOptions& options) : options_(options) {}

  ChildProgram& get(Target target, Transport transport) {
    // evpoold serves both.
    const std::string name = target == kEvpool ? "evpoold" : floor_name(target, transport);
    std::unique_ptr<ChildProgram>& program = programs_[name];
    if (program == nullptr) {
      program =
          start_program(target == kEvpool ? server_command() : floor_command(name, transport));
    }
    return *program;
  }

 private:
  static std::string floor_name(Target target, Transport transport) {
    return fmt::format("evpool-{}-{}", transport_name(transport),
                       target == kHop ? "hop-floor" : "floor");
  }

  std::vector<std::string> floor_command(const std::string& name, Transport transport) const {
    std::vector<std::string> command = {program_beside(name), "0"};
    if (transport == Transport::udp && options_.offload) {
      command.emplace_back("--offload");
    } else {
      const std::uint32_t least =
          transport == Transport::tcp ? kLeastTcpBuffer_bytes : kLeastUdpBuffer_bytes;
      command.emplace_back("--buffer");
      command.push_back(std::to_string(std::max(least, options_.payload_bytes)));
    }
    return command;
  }

  std::vector<std::string> server_command() const {
    std::vector<std::string> command = {
        options_.server_program.empty() ? program_beside("evpoold") : options_.server_program,
        "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"};
    std::istringstream words(options_.server_arguments);
    command.insert(command.end(), std::istream_iterator<std::string>(words), {});
    return command;
  }

  const FloorsOptions& options_;
  std::map<std::string, std::unique_ptr<ChildProgram>> programs_;
};

// --- Measuring ---------------------------------------------------------------------------------

// Of one run.
struct Figures {
  double jobs_per_second = 0;
  double cpu_us_per_job = 0;    // the server's
  double switches_per_job = 0;  // the server's
};
using Figure = double Figures::*;

struct MeasuredRow {
  Row row;
  std::array<std::vector<Figures>, kTargets> rounds;
  std::uint64_t wrong = 0;
  std::vector<std::string> faults;
};

struct Cost {
  double cpu_seconds = 0;
  double switches = 0;
};

Cost cost_so_far(ChildProgram& program) {
  static_cast<void>(program.running());  // notices that it has ended, and so the next lines throw
  return {program.cpu_seconds(), static_cast<double>(program.context_switches())};
}

LoadOptions load_options(const FloorsOptions& options, const Row& row,
                         const ChildProgram& program) {
  const std::string_view transport = transport_name(row.transport);
  const std::optional<Address> address = program.listening(transport);
  if (!address)
    throw std::runtime_error(fmt::format("the server does not listen on {}", transport));
  LoadOptions load;
  load.server = *address;
  load.transport = row.transport;
  load.connections = row.connections;
  load.in_flight = row.in_flight;
  load.mix.front().size.least = options.payload_bytes;
  load.mix.front().size.most = options.payload_bytes;
  // Datagrams without ids may be taken for each other's replies. Checking costs time, so it is the
  // same for all servers of a row.
  load.verify = row.transport == Transport::tcp;
  load.offload = options.offload;
  load.seed = kSeed;
  return load;
}

// run_load, but a server that ended meanwhile is said to have ended.
LoadResult run_against(ChildProgram& program, const LoadOptions& load, const Dialect& dialect) {
  RunControl control;
  try {
    return run_load(load, dialect, control);
  } catch (const std::exception&) {
    static_cast<void>(cost_so_far(program));
    throw;
  }
}

void measure(const FloorsOptions& options, Target target, ChildProgram& program,
             MeasuredRow& measured) {
  const auto dialect =
      target == kEvpool ? make_frame_dialect() : make_raw_dialect(options.payload_bytes);
  LoadOptions load = load_options(options, measured.row, program);
  // The warm-up is a run of its own, so that what the server spent can be divided by exactly the
  // jobs it was spent on.
  load.warm_up = std::chrono::milliseconds{0};
  load.duration = kWarmUp;
  static_cast<void>(run_against(program, load, *dialect));
  load.duration = options.duration;
  const Cost before = cost_so_far(program);
  const LoadResult result = run_against(program, load, *dialect);
  const Cost after = cost_so_far(program);

  for (const std::string& fault : result.invalid) {
    measured.faults.push_back(fmt::format("{}: {}", kTargetNames[target], fault));
  }
  if (result.account.lost > 0) {
    measured.faults.push_back(fmt::format("{}: {} of {} replies were lost", kTargetNames[target],
                                          result.account.lost, result.account.sent));
  }
  measured.wrong += result.account.wrong;
  const double jobs = std::max(1.0, static_cast<double>(result.account.ok));
  measured.rounds[target].push_back(
      {.jobs_per_second = result.jobs_per_second(),
       .cpu_us_per_job = (after.cpu_seconds - before.cpu_seconds) * 1e6 / jobs,
       .switches_per_job = (after.switches - before.switches) / jobs});
}

MeasuredRow measure_row(const FloorsOptions& options, const Row& row, Servers& servers) {
  MeasuredRow measured;
  measured.row = row;
  for (int round = 0; round < options.rounds; ++round) {
    fmt::print(stderr, "{}: round {} of {}\n", row.name, round + 1, options.rounds);
    for (std::size_t i = 0; i < kTargets; ++i) {
      // Another one begins each round, so that none always follows the same one.
      const auto target = static_cast<Target>((static_cast<std::size_t>(round) + i) % kTargets);
      measure(options, target, servers.get(target, row.transport), measured);
    }
  }
  return measured;
}

// --- Showing -----------------------------------------------------------------------------------

double median_of(const std::vector<Figures>& rounds, Figure figure) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const Figures& round : rounds) values.push_back(round.*figure);
  return median(values);
}

// Of jobs/s: taken inside each round, in which the machine was about as fast for both.
Spread ratio_of(const MeasuredRow& measured, Target of, Target to) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < measured.rounds[of].size(); ++i) {
    const double below = measured.rounds[to][i].jobs_per_second;
    ratios.push_back(below > 0 ? measured.rounds[of][i].jobs_per_second / below : 0);
  }
  return spread_of(ratios);
}

struct RatioColumn {
  const char* name;
  const char* key;
  Target of;
  Target to;
};
constexpr std::array<RatioColumn, 3> kRatios = {{
    {"evpool/hop", "evpool_to_hop", kEvpool, kHop},
    {"hop/floor", "hop_to_floor", kHop, kFloor},
    {"evpool/floor", "evpool_to_floor", kEvpool, kFloor},
}};

struct FigureColumn {
  const char* name;
  const char* key;
  Figure figure;
};
constexpr std::array<FigureColumn, 3> kFigures = {{
    {"jobs/s", "jobs_per_second", &Figures::jobs_per_second},
    {"CPU us/job", "cpu_us_per_job", &Figures::cpu_us_per_job},
    {"switches/job", "switches_per_job", &Figures::switches_per_job},
}};

// Columns whose numbers stand at the right.
void print_head(const std::vector<std::string>& columns) {
  std::string names = "| row |";
  std::string rule = "| --- |";
  for (const std::string& column : columns) {
    names += fmt::format(" {} |", column);
    rule += " ---: |";
  }
  fmt::print("{}\n{}\n", names, rule);
}

void print_rates(const std::vector<MeasuredRow>& rows) {
  std::vector<std::string> columns;
  columns.reserve(kTargetNames.size() + kRatios.size());
  for (const char* target : kTargetNames) columns.push_back(fmt::format("{} jobs/s", target));
  for (const RatioColumn& ratio : kRatios) columns.emplace_back(ratio.name);
  print_head(columns);
  for (const MeasuredRow& row : rows) {
    fmt::print("| {} |", row.row.name);
    for (const auto& rounds : row.rounds) {
      fmt::print(" {:.0f} |", median_of(rounds, &Figures::jobs_per_second));
    }
    for (const RatioColumn& column : kRatios) {
      const Spread ratio = ratio_of(row, column.of, column.to);
      fmt::print(" {:.2f} ({:.2f}..{:.2f}) |", ratio.median, ratio.least, ratio.greatest);
    }
    fmt::print("\n");
  }
}

void print_costs(const std::vector<MeasuredRow>& rows) {
  std::vector<std::string> columns;
  for (const FigureColumn& figure : std::span(kFigures).subspan(1)) {
    for (const char* target : kTargetNames) {
      columns.push_back(fmt::format("{} {}", target, figure.name));
    }
  }
  print_head(columns);
  for (const MeasuredRow& row : rows) {
    fmt::print("| {} |", row.row.name);
    for (const auto& rounds : row.rounds) {
      fmt::print(" {:.3f} |", median_of(rounds, &Figures::cpu_us_per_job));
    }
    for (const auto& rounds : row.rounds) {
      fmt::print(" {:.4f} |", median_of(rounds, &Figures::switches_per_job));
    }
    fmt::print("\n");
  }
}

void print_text(const FloorsOptions& options, const std::vector<MeasuredRow>& rows) {
  fmt::print(
      "## evpool beside its floors: closed loop, {} bytes, median of {} rounds of {}{}\n\n"
      "A row is TRANSPORT-CONNECTIONSxIN_FLIGHT. A ratio is the median of the rounds' ratios, with "
      "their range.\n\n",
      options.payload_bytes, options.rounds, to_string(options.duration),
      options.offload ? ", UDP with segmentation offload" : "");
  print_rates(rows);
  fmt::print("\n## What it costs the server\n\n");
  print_costs(rows);
  for (const MeasuredRow& row : rows) {
    for (const std::string& fault : row.faults) fmt::print("\n{}, {}\n", row.row.name, fault);
  }
  fmt::print("\n{}", provenance_text(collect_provenance(own_arguments(), kSeed)));
}

void print_json(const FloorsOptions& options, const std::vector<MeasuredRow>& rows) {
  nlohmann::ordered_json object = {
      {"model", "closed loop"},
      {"payload_bytes", options.payload_bytes},
      {"duration_ms", options.duration.count()},
      {"rounds", options.rounds},
      {"offload", options.offload},
      {"rows", nlohmann::ordered_json::array()},
  };
  for (const MeasuredRow& measured : rows) {
    nlohmann::ordered_json row = {
        {"row", measured.row.name},
        {"transport", transport_name(measured.row.transport)},
        {"connections", measured.row.connections},
        {"in_flight", measured.row.in_flight},
    };
    for (std::size_t target = 0; target < kTargets; ++target) {
      const std::vector<Figures>& rounds = measured.rounds[target];
      nlohmann::ordered_json& server = row[kTargetKeys[target]];
      for (const FigureColumn& column : kFigures) {
        nlohmann::ordered_json each = nlohmann::ordered_json::array();
        for (const Figures& round : rounds) each.push_back(round.*column.figure);
        server[column.key] = {{"median", median_of(rounds, column.figure)}, {"rounds", each}};
      }
    }
    for (const RatioColumn& column : kRatios) {
      const Spread ratio = ratio_of(measured, column.of, column.to);
      row[column.key] = {
          {"median", ratio.median}, {"least", ratio.least}, {"greatest", ratio.greatest}};
    }
    row["wrong"] = measured.wrong;
    row["faults"] = measured.faults;
    object["rows"].push_back(row);
  }
  object["provenance"] = provenance_to_json(collect_provenance(own_arguments(), kSeed));
  fmt::print("{}\n", object.dump(2));
}

int run_floors(const FloorsOptions& options) {
  Servers servers(options);
  std::vector<Row> rows;
  for (const std::string& name : options.rows) rows.push_back(parse_row(name).value());
  // All of them first: what is missing is said at once, and not after a minute.
  for (const Row& row : rows) {
    for (const Target target : {kFloor, kHop, kEvpool}) {
      static_cast<void>(servers.get(target, row.transport));
    }
  }
  std::vector<MeasuredRow> measured;
  measured.reserve(rows.size());
  for (const Row& row : rows) measured.push_back(measure_row(options, row, servers));
  options.json ? print_json(options, measured) : print_text(options, measured);
  const auto has_wrong = [](const MeasuredRow& row) { return row.wrong > 0; };
  if (std::any_of(measured.begin(), measured.end(), has_wrong)) return kWrongReplies;
  const auto has_faults = [](const MeasuredRow& row) { return !row.faults.empty(); };
  return std::any_of(measured.begin(), measured.end(), has_faults) ? kInvalid : kOk;
}

}  // namespace

void add_floors_command(CLI::App& app, std::function<int()>& chosen) {
  const auto options = std::make_shared<FloorsOptions>();
  CLI::App& floors = *app.add_subcommand(
      "floors", "evpoold beside the least that a server must do; starts all of them itself");
  floors.set_help_flag("-h,--help", "Print this help and exit");
  floors.add_option("--row", options->rows, "What to measure: TRANSPORT-CONNECTIONSxIN_FLIGHT")
      ->check(CLI::Validator(refuse_row, ""))
      ->type_name("NAME")
      ->capture_default_str();
  floors.add_option("--size", options->payload_bytes, "Payload bytes")
      ->check(CLI::Range(1U, kDefaultMaxPayloadBytes))
      ->capture_default_str();
  floors.add_option("--rounds", options->rounds, "Runs of each server in each row, in turn")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  add_parsed_option(
      floors, "--duration",
      [options](const std::string& text) { options->duration = parse_duration(text); },
      "How long each run lasts, after a warm-up of " + to_string(kWarmUp))
      ->type_name("DURATION")
      ->default_str(to_string(options->duration));
  floors.add_flag("--offload", options->offload,
                  "UDP_SEGMENT and UDP_GRO in the udp floors and in the load generator");
  floors
      .add_option("--server-program", options->server_program,
                  "The evpoold to measure; if not given, the one beside this program")
      ->type_name("PATH");
  floors
      .add_option("--server-args", options->server_arguments,
                  "More arguments for evpoold, separated by spaces")
      ->type_name("TEXT");
  floors.add_flag("--json", options->json, "Print one JSON object");
  floors.callback([options, &chosen] { chosen = [options] { return run_floors(*options); }; });
}

}  // namespace evpool::bench
