#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bench/child_program.h"
#include "bench/commands.h"
#include "bench/descriptor_limit.h"
#include "bench/exit_status.h"
#include "bench/floors_report.h"
#include "bench/load/dialect.h"
#include "bench/report_text.h"
#include "bench/row.h"
#include "bench/row_run.h"
#include "bench/series.h"
#include "bench/series_watch.h"

namespace evpool::bench {
namespace {

// From here on the tcp floor is the floor of large payloads.
constexpr std::uint32_t kLargePayloadBytes = 65'536;
constexpr std::uint32_t kLargeTcpBuffer_bytes = 262'144;
constexpr std::uint32_t kTcpBuffer_bytes = 65'536;
constexpr std::uint32_t kLeastUdpBuffer_bytes = 2'048;

struct FloorsOptions {
  SeriesOptions series;
  std::vector<std::string> rows{"udp-1x64",     "udp-1x256-offload", "udp-1x64-1024", "tcp-50x1",
                                "tcp-50x16",    "tcp-50x128",        "tcp-1x1",       "tcp-1x1-64K",
                                "tcp-1x1-256K", "tcp-1x1-1M",        "tcp-1x1-4M",    "tcp-1x1-16M",
                                "tcp-1x1-64M"};
};

// Starts each server anew for each run: no run inherits another one's memory, or its luck.
class Servers {
 public:
  explicit Servers(const SeriesOptions& options) : options_(options) {}

  [[nodiscard]] std::unique_ptr<ChildProgram> start(FloorsTarget target, const Row& row) const {
    if (target != kEvpool) return start_program(floor_command(target, row));
    std::vector<std::string> arguments;
    if (!row.offload) arguments.emplace_back(kWithoutUdpOffload);
    return start_evpoold(options_, arguments);
  }

 private:
  static std::vector<std::string> floor_command(FloorsTarget target, const Row& row) {
    const std::string name = fmt::format("evpool-{}-{}", transport_name(row.transport),
                                         target == kHop ? "hop-floor" : "floor");
    if (row.offload) return {program_beside(name), "0", "--offload"};
    const bool large = target == kFloor && row.payload_bytes >= kLargePayloadBytes;
    const std::uint32_t bytes = row.transport == Transport::udp
                                    ? std::max(kLeastUdpBuffer_bytes, row.payload_bytes)
                                    : (large ? kLargeTcpBuffer_bytes : kTcpBuffer_bytes);
    return {program_beside(name), "0", "--buffer", std::to_string(bytes)};
  }

  const SeriesOptions& options_;
};

void measure(const SeriesOptions& options, const Servers& servers, FloorsTarget target,
             FloorsRow& measured, SeriesWatch& watch) {
  const Row& row = measured.row;
  const auto dialect =
      target == kEvpool ? make_frame_dialect() : make_raw_dialect(row.payload_bytes);
  const auto server = servers.start(target, row);
  const RowRun run = run_row(row, *server, *dialect, options.duration, watch.control());
  watch.check();
  measured.rounds[target].push_back(run.figures);
  measured.wrong += run.wrong;
  for (const std::string& fault : run.faults) {
    measured.faults.push_back(fmt::format("{}: {}", kFloorsTargetNames[target], fault));
  }
}

void measure_rounds(const SeriesOptions& series, const Servers& servers,
                    std::vector<FloorsRow>& rows, SeriesWatch& watch) {
  for (int round = 0; round < series.rounds; ++round) {
    for (FloorsRow& row : rows) {
      show_series_progress(row.row.name, round, series);
      for (std::size_t i = 0; i < kFloorsTargets; ++i) {
        // Another one begins each round, so that none always follows the same one.
        const std::size_t target = (static_cast<std::size_t>(round) + i) % kFloorsTargets;
        measure(series, servers, static_cast<FloorsTarget>(target), row, watch);
      }
    }
  }
}

int run_floors(const FloorsOptions& options) {
  const SeriesOptions& series = options.series;
  const std::vector<Row> asked = parse_rows(options.rows);
  require_descriptors(most_connections(asked));
  const Servers servers(series);
  std::vector<FloorsRow> rows;
  for (const Row& row : asked) rows.emplace_back().row = row;
  // All of them first: what is missing is said at once, and not after a minute.
  for (const FloorsRow& row : rows) {
    for (const FloorsTarget target : {kFloor, kHop, kEvpool}) {
      static_cast<void>(servers.start(target, row.row));
    }
  }
  SeriesWatch watch;
  const std::string broke_off = watch.run([&] { measure_rounds(series, servers, rows, watch); });
  if (!broke_off.empty()) {
    keep_finished(rows);
    if (rows.empty()) throw std::runtime_error(broke_off);
  }
  series.form.json ? print_floors_json(series, rows, broke_off)
                   : print_floors_text(series, rows, broke_off);
  const auto has_wrong = [](const FloorsRow& row) { return row.wrong > 0; };
  if (std::any_of(rows.begin(), rows.end(), has_wrong)) return kWrongReplies;
  const auto has_faults = [](const FloorsRow& row) { return !row.faults.empty(); };
  const bool any_faults = std::any_of(rows.begin(), rows.end(), has_faults);
  return any_faults || !broke_off.empty() ? kInvalid : kOk;
}

}  // namespace

void add_floors_command(CLI::App& app, std::function<int()>& chosen) {
  const auto options = std::make_shared<FloorsOptions>();
  CLI::App& floors = *app.add_subcommand(
      "floors", "evpoold beside the least that a server must do; starts all of them itself");
  floors.set_help_flag("-h,--help", "Print this help and exit");
  add_row_flag(floors, options->rows);
  add_series_flags(floors, options->series);
  floors.callback([options, &chosen] { chosen = [options] { return run_floors(*options); }; });
}

}  // namespace evpool::bench
