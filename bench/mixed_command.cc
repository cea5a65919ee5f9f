#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/commands.h"
#include "bench/exit_status.h"
#include "bench/load/arrivals.h"
#include "bench/load/generator.h"
#include "bench/load/machine_facts.h"
#include "bench/load/provenance.h"
#include "bench/load_flags.h"
#include "bench/markdown_table.h"
#include "bench/numbers.h"
#include "bench/queue_simulator.h"
#include "bench/report_json.h"
#include "bench/series.h"
#include "bench/series_watch.h"
#include "client/command_line.h"
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

using std::chrono::milliseconds;
using Json = nlohmann::ordered_json;

// 1 % of the jobs take 5 ms, the rest 10 us.
constexpr double kLongShare = 0.01;
constexpr const char* kShortSpin_us = "10";
constexpr const char* kLongSpin_us = "5000";
constexpr const char* kLongSleep_ms = "5";
constexpr double kLonger_ns = 4'990'000;  // at least, by what the jobs promise

constexpr milliseconds kCalibration{400};
constexpr milliseconds kWarmUp{500};
constexpr milliseconds kDuration{10'000};  // a second has a hundred long jobs, or fewer
constexpr milliseconds kTimeout{30'000};
constexpr std::uint64_t kSeed = 1;
// A rate is the bound of an open loop, and none of its jobs is to be refused: long ones make queues
// of thousands behind them.
constexpr const char* kQueueTasks = "65536";
constexpr std::size_t kConnections = 4;
constexpr std::size_t kInFlight = 8'192;

struct MixedOptions {
  SeriesOptions series;
  std::size_t workers = 1;
  double load = 0.7;
  std::string long_job = "spin";
};

enum Kind : std::size_t { kShort, kLong, kKinds };

MixEntry job_of(const MixedOptions& options, Kind kind) {
  MixEntry entry;
  entry.job = kind == kShort ? "spin" : options.long_job;
  entry.payload = kind == kShort        ? kShortSpin_us
                  : entry.job == "spin" ? kLongSpin_us
                                        : kLongSleep_ms;
  return entry;
}

LoadOptions load_of(const MixedOptions& options, Kind kind, const Address& server) {
  LoadOptions load;
  load.server = server;
  load.mix = {job_of(options, kind)};
  load.timeout = kTimeout;
  load.connections = kConnections;
  load.in_flight = kInFlight;
  return load;
}

// --- One round -----------------------------------------------------------------------------------

// In microseconds.
struct Percentiles {
  double p50 = 0;
  double p99 = 0;
  double p999 = 0;
};

struct Round {
  std::array<ServiceKind, kKinds> kinds;
  double rate = 0;       // of all jobs
  Percentiles measured;  // of the short jobs, as all below
  Percentiles simulated;
  std::vector<std::string> faults;
};

std::unique_ptr<ChildProgram> start_server(const MixedOptions& options, std::size_t workers) {
  return start_evpoold(options.series,
                       {"--workers", std::to_string(workers), "--queue", kQueueTasks});
}

Address address_of(const ChildProgram& server) {
  const auto address = server.listening("tcp");
  if (!address) throw std::runtime_error("the server does not listen on tcp");
  return *address;
}

// How long a job keeps a worker, all that the server does for it included. Of the short ones: an
// only worker, not the I/O thread, is what holds up more of them than it can do. A long one takes
// longer by as much as one alone takes longer.
std::array<ServiceKind, kKinds> measure_services(const MixedOptions& options, SeriesWatch& watch) {
  constexpr std::size_t kEnoughInFlight = 8;
  const auto server = start_server(options, 1);
  const Address address = address_of(*server);
  const auto dialect = make_frame_dialect();
  const auto measure = [&](Kind kind, std::size_t connections, std::size_t in_flight) {
    LoadOptions load = load_of(options, kind, address);
    load.connections = connections;
    load.in_flight = in_flight;
    load.duration = kCalibration;
    LoadResult result = run_load(load, *dialect, watch.control());
    watch.check();
    if (result.account.ok == 0) {
      throw std::runtime_error(fmt::format("no job of '{}' was done", load.mix[0].job));
    }
    return result;
  };
  const double short_s = 1 / measure(kShort, kConnections, kEnoughInFlight).jobs_per_second();
  const auto alone_ns = [&](Kind kind) {
    return static_cast<double>(measure(kind, 1, 1).latency.percentile_ns(50));
  };
  const double longer_s = std::max(kLonger_ns, alone_ns(kLong) - alone_ns(kShort)) * 1e-9;
  return {{{.weight = 1 - kLongShare, .service_s = short_s},
           {.weight = kLongShare, .service_s = short_s + longer_s}}};
}

// The jobs that two generators with these loads send, as they are due.
std::vector<SimulatedJob> scheduled_jobs(const std::array<LoadOptions, kKinds>& loads,
                                         const std::array<ServiceKind, kKinds>& kinds) {
  std::vector<SimulatedJob> jobs;
  for (const Kind kind : {kShort, kLong}) {
    const LoadOptions& load = loads[kind];
    ArrivalSchedule arrivals(load, 0);
    const auto end = load.warm_up + load.duration;
    for (auto at = arrivals.next(); at < end; at = arrivals.next()) {
      jobs.push_back({.arrival_s = std::chrono::duration<double>(at).count(),
                      .service_s = kinds[kind].service_s,
                      .kind = kind});
    }
  }
  std::sort(jobs.begin(), jobs.end(),
            [](const SimulatedJob& a, const SimulatedJob& b) { return a.arrival_s < b.arrival_s; });
  return jobs;
}

// Both at once: the sum of two Poisson processes is one, and each has its own latencies.
std::array<LoadResult, kKinds> run_both(const std::array<LoadOptions, kKinds>& loads,
                                        RunControl& control) {
  const auto dialect = make_frame_dialect();
  std::array<LoadResult, kKinds> results;
  std::exception_ptr failure;
  std::thread other([&] {
    try {
      results[kLong] = run_load(loads[kLong], *dialect, control);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  try {
    results[kShort] = run_load(loads[kShort], *dialect, control);
  } catch (...) {
    other.join();
    throw;
  }
  other.join();
  if (failure != nullptr) std::rethrow_exception(failure);
  return results;
}

Round measure_round(const MixedOptions& options, int number, SeriesWatch& watch) {
  Round round;
  round.kinds = measure_services(options, watch);
  const auto server = start_server(options, options.workers);
  const Address address = address_of(*server);
  round.rate = options.load * static_cast<double>(options.workers) / mean_service_s(round.kinds);
  std::array<LoadOptions, kKinds> loads;
  for (const Kind kind : {kShort, kLong}) {
    loads[kind] = load_of(options, kind, address);
    loads[kind].rate = round.rate * round.kinds[kind].weight;
    loads[kind].warm_up = kWarmUp;
    loads[kind].duration = options.series.duration;
    // Other arrivals in each round, and of each kind.
    loads[kind].seed = kSeed + kKinds * static_cast<std::uint64_t>(number) + kind;
  }
  const std::array<LoadResult, kKinds> results = run_both(loads, watch.control());
  watch.check();
  for (const Kind kind : {kShort, kLong}) {
    const LoadResult& result = results[kind];
    for (const std::string& fault : result.invalid) round.faults.push_back(fault);
    const std::uint64_t not_ok = result.account.sent - result.account.ok;
    if (not_ok > 0) {
      round.faults.push_back(
          fmt::format("{} of {} jobs were not done", not_ok, result.account.sent));
    }
  }
  const LatencyHistogram& latency = results[kShort].latency;
  const auto measured_us = [&latency](double percent) {
    return static_cast<double>(latency.percentile_ns(percent)) / 1e3;
  };
  round.measured = {measured_us(50), measured_us(99), measured_us(99.9)};

  const std::vector<SimulatedJob> jobs = scheduled_jobs(loads, round.kinds);
  const std::vector<double> waits = simulate_waits(jobs, options.workers);
  const std::vector<double> sojourns = sorted_sojourns(
      jobs, waits, kShort, std::chrono::duration<double>(loads[kShort].warm_up).count());
  if (sojourns.empty()) throw std::runtime_error("no short job was due; use a longer --duration");
  const auto simulated_us = [&sojourns](double percent) {
    return percentile_of(sojourns, percent) * 1e6;
  };
  round.simulated = {simulated_us(50), simulated_us(99), simulated_us(99.9)};
  return round;
}

// --- Showing -------------------------------------------------------------------------------------

template <typename Get>
std::vector<double> values_of(const std::vector<Round>& rounds, Get get) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const Round& round : rounds) values.push_back(get(round));
  return values;
}

double service_us(const Round& round, Kind kind) { return round.kinds[kind].service_s * 1e6; }

struct PercentileRow {
  const char* name;
  double Percentiles::*value;
};
constexpr std::array<PercentileRow, 3> kPercentiles = {
    {{"p50", &Percentiles::p50}, {"p99", &Percentiles::p99}, {"p99.9", &Percentiles::p999}}};

std::vector<std::string> faults_of(const std::vector<Round>& rounds) {
  std::vector<std::string> faults;
  for (const Round& round : rounds) {
    faults.insert(faults.end(), round.faults.begin(), round.faults.end());
  }
  return faults;
}

void print_text(const MixedOptions& options, const std::vector<Round>& rounds,
                const std::string& broke_off) {
  print_troubles(broke_off, faults_of(rounds));
  fmt::print(
      "## Short jobs among long ones: open loop, {} worker(s) at {:.0f} % load, {} rounds of {}\n\n"
      "1 % of the jobs take 5 ms ({}), the rest 10 us (spin). On paper: the same arrivals, first "
      "come first served, with the services measured in each round. Medians of the rounds; of "
      "ratios also the range.\n\n",
      options.workers, options.load * 100, options.series.rounds,
      to_string(options.series.duration), options.long_job);
  MarkdownTable services({"measured", "median (range)"});
  services.add({"service of a short job, us", spread_text(values_of(rounds, [](const Round& of) {
                  return service_us(of, kShort);
                }))});
  services.add({"service of a long job, us", spread_text(values_of(rounds, [](const Round& of) {
                  return service_us(of, kLong);
                }))});
  services.add(
      {"jobs/s", grouped_spread_text(values_of(rounds, [](const Round& of) { return of.rate; }))});
  std::string essence = "short jobs among long ones, measured/paper:";
  MarkdownTable table({"short jobs", "measured us", "on paper us", "measured/paper"});
  for (const PercentileRow& row : kPercentiles) {
    const auto measured =
        values_of(rounds, [&](const Round& of) { return of.measured.*row.value; });
    const auto paper = values_of(rounds, [&](const Round& of) { return of.simulated.*row.value; });
    const std::string ratio = spread_text(ratios_of(measured, paper));
    table.add({row.name, number_text(median(measured)), number_text(median(paper)), ratio});
    essence += fmt::format("{} {} {}", essence.back() == ':' ? "" : ",", row.name, ratio);
  }
  fmt::print("{}\n{}", table.text(), services.text());
  print_closing(options.series.form, collect_provenance(own_arguments(), kSeed),
                troubled(broke_off, faults_of(rounds)) + essence);
}

void print_json(const MixedOptions& options, const std::vector<Round>& rounds,
                const std::string& broke_off) {
  Json object = {{"schema", "evpool-bench-mixed/1"},
                 {"command", "mixed"},
                 {"model", "open loop"},
                 {"workers", options.workers},
                 {"load", options.load},
                 {"long_job", options.long_job},
                 {"rounds", options.series.rounds},
                 {"duration_ms", options.series.duration.count()},
                 {"broke_off", null_if_empty(broke_off)}};
  object["short_service_us"] =
      spread_json(values_of(rounds, [](const Round& of) { return service_us(of, kShort); }));
  object["long_service_us"] =
      spread_json(values_of(rounds, [](const Round& of) { return service_us(of, kLong); }));
  object["jobs_per_second"] =
      spread_json(values_of(rounds, [](const Round& of) { return of.rate; }));
  for (const PercentileRow& row : kPercentiles) {
    const auto measured =
        values_of(rounds, [&](const Round& of) { return of.measured.*row.value; });
    const auto paper = values_of(rounds, [&](const Round& of) { return of.simulated.*row.value; });
    object["short_jobs"][row.name] = {{"measured_us", spread_json(measured)},
                                      {"simulated_us", spread_json(paper)},
                                      {"ratio", spread_json(ratios_of(measured, paper))}};
  }
  object["faults"] = faults_of(rounds);
  object["provenance"] = provenance_to_json(collect_provenance(own_arguments(), kSeed));
  fmt::print("{}\n", object.dump(2, ' ', false, Json::error_handler_t::replace));
}

int run_mixed(const MixedOptions& options) {
  std::vector<Round> rounds;
  SeriesWatch watch;
  const std::string broke_off = watch.run([&] {
    for (int number = 0; number < options.series.rounds; ++number) {
      show_series_progress("mixed", number, options.series);
      rounds.push_back(measure_round(options, number, watch));
    }
  });
  if (rounds.empty()) throw std::runtime_error(broke_off);
  options.series.form.json ? print_json(options, rounds, broke_off)
                           : print_text(options, rounds, broke_off);
  return faults_of(rounds).empty() && broke_off.empty() ? kOk : kInvalid;
}

}  // namespace

void add_mixed_command(CLI::App& app, std::function<int()>& chosen) {
  const auto options = std::make_shared<MixedOptions>();
  options->series.duration = kDuration;
  // One CPU is for the I/O thread and the generator.
  options->workers = static_cast<std::size_t>(std::max(1, usable_cpus() - 1));
  CLI::App& command = *app.add_subcommand(
      "mixed", "Short jobs among long ones, beside the same queue on paper; starts evpoold itself");
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.add_option("--workers", options->workers, "evpoold's workers")
      ->transform(whole_number(1, 1'024))
      ->capture_default_str();
  add_parsed_option(
      command, "--load", [options](const std::string& text) { options->load = parse_load(text); },
      "For which share of their time they are busy")
      ->type_name("SHARE")
      ->default_str("70%");
  command
      .add_option("--long-job", options->long_job,
                  "What the long jobs do: spin, or sleep, which leaves the CPU to others")
      ->check(CLI::IsMember({"spin", "sleep"}).description(""))
      ->type_name("NAME")
      ->capture_default_str();
  add_series_flags(command, options->series);
  command.callback([options, &chosen] { chosen = [options] { return run_mixed(*options); }; });
}

}  // namespace evpool::bench
