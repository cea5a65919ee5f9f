#include "bench/floors_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "bench/line_fit.h"
#include "bench/load/provenance.h"
#include "bench/markdown_table.h"
#include "bench/numbers.h"
#include "bench/report_json.h"
#include "bench/report_text.h"
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

// Less is lost in what a server has resident anyway.
constexpr std::uint64_t kLeastBytesForMemory = std::uint64_t{1} << 20U;
// What the times of sizes below are made of is not the copying of bytes.
constexpr std::uint32_t kLeastBytesForFit = 65'536;
constexpr std::size_t kLeastSizesForFit = 3;
constexpr double kMebibyte = 1'048'576;

using Figure = std::optional<double> (*)(const RowFigures&);

struct FigureColumn {
  const char* name;
  const char* key;
  Figure figure;
};
constexpr FigureColumn kJobs = {"jobs/s", "jobs_per_second", [](const RowFigures& of) {
                                  return std::optional(of.jobs_per_second);
                                }};
constexpr FigureColumn kP50 = {"p50 us", "p50_us",
                               [](const RowFigures& of) { return std::optional(of.p50_us); }};
constexpr FigureColumn kCpu = {"CPU us/job", "cpu_us_per_job", [](const RowFigures& of) {
                                 return std::optional(of.cpu_us_per_job);
                               }};
constexpr FigureColumn kSwitches = {"switches/job", "switches_per_job", [](const RowFigures& of) {
                                      return std::optional(of.switches_per_job);
                                    }};
constexpr FigureColumn kCalls = {"system calls/job", "system_calls_per_job",
                                 [](const RowFigures& of) { return of.system_calls_per_job; }};
constexpr FigureColumn kMemory = {"memory MiB", "memory_bytes", [](const RowFigures& of) {
                                    return std::optional(of.memory_bytes);
                                  }};
constexpr FigureColumn kClient = {
    "client CPU us/job", "client_cpu_us_per_job",
    [](const RowFigures& of) { return std::optional(of.client_cpu_us_per_job); }};
constexpr std::array<FigureColumn, 7> kFigures = {kJobs,  kP50,    kCpu,   kSwitches,
                                                  kCalls, kMemory, kClient};

struct RatioColumn {
  const char* name;
  const char* key;
  FigureColumn figure;
  FloorsTarget of;
  FloorsTarget to;
};
constexpr std::array<RatioColumn, 3> kRatesRatios = {{
    {"evpool/hop", "evpool_to_hop", kJobs, kEvpool, kHop},
    {"hop/floor", "hop_to_floor", kJobs, kHop, kFloor},
    {"evpool/floor", "evpool_to_floor", kJobs, kEvpool, kFloor},
}};
constexpr RatioColumn kP50Ratio = {"evpool/hop", "p50_evpool_to_hop", kP50, kEvpool, kHop};

// Of the rounds that have it.
std::vector<double> values_of(const FloorsRow& row, FloorsTarget target,
                              const FigureColumn& column) {
  std::vector<double> values;
  for (const RowFigures& round : row.rounds[target]) {
    if (const auto value = column.figure(round)) values.push_back(*value);
  }
  return values;
}

std::vector<double> ratios_of(const FloorsRow& row, const RatioColumn& column) {
  const std::vector<double> of = values_of(row, column.of, column.figure);
  return bench::ratios_of(of, values_of(row, column.to, column.figure));
}

constexpr std::array<FloorsTarget, kFloorsTargets> kTargets = {kFloor, kHop, kEvpool};

// A median of each server, or "-"; `digits` after the point.
void add_medians(const FloorsRow& row, const FigureColumn& column, int digits,
                 std::vector<std::string>& cells, double unit = 1) {
  for (const FloorsTarget target : kTargets) {
    const std::vector<double> values = values_of(row, target, column);
    const double value = values.empty() ? 0 : median(values) / unit;
    // Whole numbers are large ones, and have to be read at a glance.
    cells.push_back(values.empty() ? "-"
                    : digits == 0  ? number_text(value)
                                   : fmt::format("{:.{}f}", value, digits));
  }
}

void add_names(const FigureColumn& column, std::vector<std::string>& names) {
  for (const char* const target : kFloorsTargetNames) {
    names.push_back(fmt::format("{} {}", target, column.name));
  }
}

std::string rates_table(const std::vector<FloorsRow>& rows) {
  std::vector<std::string> columns = {"row"};
  add_names(kJobs, columns);
  for (const RatioColumn& ratio : kRatesRatios) columns.emplace_back(ratio.name);
  MarkdownTable table(columns);
  for (const FloorsRow& row : rows) {
    std::vector<std::string> cells = {row.row.name};
    add_medians(row, kJobs, 0, cells);
    for (const RatioColumn& ratio : kRatesRatios)
      cells.push_back(spread_text(ratios_of(row, ratio)));
    table.add(cells);
  }
  return table.text();
}

std::string latency_table(const std::vector<FloorsRow>& rows) {
  std::vector<std::string> columns = {"row"};
  add_names(kP50, columns);
  columns.emplace_back(kP50Ratio.name);
  add_names(kClient, columns);
  MarkdownTable table(columns);
  for (const FloorsRow& row : rows) {
    std::vector<std::string> cells = {row.row.name};
    add_medians(row, kP50, 1, cells);
    cells.push_back(spread_text(ratios_of(row, kP50Ratio)));
    add_medians(row, kClient, 3, cells);
    table.add(cells);
  }
  return table.text();
}

std::string costs_table(const std::vector<FloorsRow>& rows) {
  std::vector<std::string> columns = {"row"};
  for (const FigureColumn& figure : {kCpu, kSwitches, kCalls}) add_names(figure, columns);
  MarkdownTable table(columns);
  for (const FloorsRow& row : rows) {
    std::vector<std::string> cells = {row.row.name};
    add_medians(row, kCpu, 3, cells);
    add_medians(row, kSwitches, 4, cells);
    add_medians(row, kCalls, 4, cells);
    table.add(cells);
  }
  return table.text();
}

std::vector<double> memory_to_bytes(const FloorsRow& row) {
  std::vector<double> ratios = values_of(row, kEvpool, kMemory);
  for (double& ratio : ratios) ratio /= static_cast<double>(row.row.bytes_in_flight());
  return ratios;
}

std::string memory_table(const std::vector<FloorsRow>& rows) {
  std::vector<std::string> columns = {"row", "MiB in flight"};
  add_names(kMemory, columns);
  columns.emplace_back("evpool/in flight");
  MarkdownTable table(columns);
  for (const FloorsRow& row : rows) {
    const std::uint64_t bytes = row.row.bytes_in_flight();
    std::vector<std::string> cells = {
        row.row.name, fmt::format("{:.3f}", static_cast<double>(bytes) / kMebibyte)};
    add_medians(row, kMemory, 1, cells, kMebibyte);
    cells.push_back(bytes < kLeastBytesForMemory ? "-" : spread_text(memory_to_bytes(row)));
    table.add(cells);
  }
  return table.text();
}

// --- Time against size ---------------------------------------------------------------------------

// Rows that differ in nothing but their size.
struct Sizes {
  std::string shape;
  std::vector<const FloorsRow*> rows;
};

std::vector<Sizes> find_sizes(const std::vector<FloorsRow>& rows) {
  std::map<std::string, std::map<std::uint32_t, const FloorsRow*>> shapes;
  for (const FloorsRow& row : rows) {
    if (row.row.payload_bytes < kLeastBytesForFit) continue;
    const std::string shape = fmt::format("{}-{}x{}", transport_name(row.row.transport),
                                          row.row.connections, row.row.in_flight);
    shapes[shape][row.row.payload_bytes] = &row;
  }
  std::vector<Sizes> found;
  for (const auto& [shape, sizes] : shapes) {
    if (sizes.size() < kLeastSizesForFit) continue;
    Sizes& added = found.emplace_back();
    added.shape = shape;
    for (const auto& [bytes, row] : sizes) added.rows.push_back(row);
  }
  return found;
}

// A line for each round.
std::vector<LineFit> fit_rounds(const Sizes& sizes, FloorsTarget target) {
  std::size_t rounds = SIZE_MAX;
  for (const FloorsRow* const row : sizes.rows)
    rounds = std::min(rounds, row->rounds[target].size());
  std::vector<LineFit> fits;
  for (std::size_t round = 0; round < rounds; ++round) {
    std::vector<SizedTime> points;
    for (const FloorsRow* const row : sizes.rows) {
      const double time_us = row->rounds[target][round].p50_us;
      if (time_us > 0) points.push_back({static_cast<double>(row->row.payload_bytes), time_us});
    }
    if (points.size() == sizes.rows.size()) fits.push_back(fit_line(points));
  }
  return fits;
}

std::vector<double> of_fits(const std::vector<LineFit>& fits, double LineFit::*figure,
                            double unit = 1) {
  std::vector<double> values;
  values.reserve(fits.size());
  for (const LineFit& fit : fits) values.push_back(fit.*figure * unit);
  return values;
}

std::string fit_table(const std::vector<Sizes>& all) {
  MarkdownTable table({"rows", "server", "a, us", "b, us/MiB", "farthest from the line"});
  for (const Sizes& sizes : all) {
    for (const FloorsTarget target : kTargets) {
      const std::vector<LineFit> fits = fit_rounds(sizes, target);
      if (fits.empty()) continue;
      table.add({sizes.shape, kFloorsTargetNames[target], spread_text(of_fits(fits, &LineFit::a)),
                 spread_text(of_fits(fits, &LineFit::b, kMebibyte)),
                 spread_text(of_fits(fits, &LineFit::worst))});
    }
  }
  return table.text();
}

// "13 rows: evpool/hop 0.78 to 2.19, hop/floor 0.58 to 1.08, evpool/floor 0.51 to 2.02"
std::string essence_of(const std::vector<FloorsRow>& rows) {
  std::string text = fmt::format("{} row{}:", rows.size(), rows.size() == 1 ? "" : "s");
  for (const RatioColumn& ratio : kRatesRatios) {
    std::vector<double> medians;
    for (const FloorsRow& row : rows) {
      const std::vector<double> rounds = ratios_of(row, ratio);
      if (!rounds.empty()) medians.push_back(median(rounds));
    }
    text += fmt::format("{} {} {}", text.back() == ':' ? "" : ",", ratio.name, range_text(medians));
  }
  return text;
}

}  // namespace

void keep_finished(std::vector<FloorsRow>& rows) {
  for (FloorsRow& row : rows) {
    std::size_t finished = SIZE_MAX;
    for (const auto& rounds : row.rounds) finished = std::min(finished, rounds.size());
    for (auto& rounds : row.rounds) rounds.resize(finished);
  }
  std::erase_if(rows, [](const FloorsRow& row) { return row.rounds[kEvpool].empty(); });
}

void print_floors_text(const SeriesOptions& options, const std::vector<FloorsRow>& rows,
                       const std::string& broke_off) {
  print_troubles(broke_off, faults_of(rows));
  fmt::print(
      "## evpool beside its floors: closed loop, medians of {} rounds of {}\n\n"
      "A row is {}, 32 bytes where it says no size. A ratio is the median of the rounds' ratios, "
      "with their range.\n\n{}",
      options.rounds, to_string(options.duration), kRowForm, rates_table(rows));
  fmt::print("\n## How long a round trip takes, and what of the client's time is in it\n\n{}",
             latency_table(rows));
  fmt::print("\n## What it costs the server\n\n{}", costs_table(rows));
  fmt::print("\n## Its memory, at the peak and beyond what it had when idle\n\n{}",
             memory_table(rows));
  const std::vector<Sizes> sizes = find_sizes(rows);
  if (!sizes.empty()) {
    fmt::print("\n## Round trip p50 = a + b x size, from 64 KiB on\n\n{}", fit_table(sizes));
  }
  print_closing(options.form, collect_provenance(own_arguments(), kRowSeed),
                troubled(broke_off, faults_of(rows)) + essence_of(rows));
}

void print_floors_json(const SeriesOptions& options, const std::vector<FloorsRow>& rows,
                       const std::string& broke_off) {
  using Json = nlohmann::ordered_json;
  constexpr std::array<const char*, kFloorsTargets> kKeys = {"floor", "hop", "evpool"};
  Json object = {
      {"schema", "evpool-bench-floors/1"},
      {"command", "floors"},
      {"model", "closed loop"},
      {"rounds", options.rounds},
      {"duration_ms", options.duration.count()},
      {"broke_off", null_if_empty(broke_off)},
      {"rows", Json::array()},
      {"time_by_size", Json::array()},
  };
  for (const FloorsRow& measured : rows) {
    Json row = {
        {"row", measured.row.name},
        {"transport", transport_name(measured.row.transport)},
        {"connections", measured.row.connections},
        {"in_flight", measured.row.in_flight},
        {"payload_bytes", measured.row.payload_bytes},
        {"offload", measured.row.offload},
    };
    for (const FloorsTarget target : kTargets) {
      for (const FigureColumn& column : kFigures) {
        row[kKeys[target]][column.key] = spread_json(values_of(measured, target, column));
      }
    }
    for (const RatioColumn& ratio : kRatesRatios) {
      row[ratio.key] = spread_json(ratios_of(measured, ratio));
    }
    row[kP50Ratio.key] = spread_json(ratios_of(measured, kP50Ratio));
    row["memory_to_bytes_in_flight"] = spread_json(memory_to_bytes(measured));
    row["wrong"] = measured.wrong;
    row["faults"] = measured.faults;
    object["rows"].push_back(std::move(row));
  }
  for (const Sizes& sizes : find_sizes(rows)) {
    for (const FloorsTarget target : kTargets) {
      const std::vector<LineFit> fits = fit_rounds(sizes, target);
      object["time_by_size"].push_back({{"rows", sizes.shape},
                                        {"server", kKeys[target]},
                                        {"a_us", spread_json(of_fits(fits, &LineFit::a))},
                                        {"b_us_per_byte", spread_json(of_fits(fits, &LineFit::b))},
                                        {"farthest", spread_json(of_fits(fits, &LineFit::worst))}});
    }
  }
  object["provenance"] = provenance_to_json(collect_provenance(own_arguments(), kRowSeed));
  fmt::print("{}\n", object.dump(2, ' ', false, Json::error_handler_t::replace));
}

}  // namespace evpool::bench
