#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
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
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

using Json = nlohmann::ordered_json;

struct WorkersOptions {
  SeriesOptions series;
  std::vector<std::string> rows{"tcp-50x16"};
  std::vector<std::size_t> workers{1, 2, 4, 8, 16};
};

// A number of workers in a row.
struct Cell {
  std::size_t workers = 0;
  std::vector<double> jobs_per_second;
  std::vector<double> cpu_us_per_job;
};

struct MeasuredRow {
  Row row;
  std::vector<Cell> cells;
  std::uint64_t wrong = 0;
  std::vector<std::string> faults;
};

void measure(const WorkersOptions& options, MeasuredRow& measured, Cell& cell, SeriesWatch& watch) {
  std::vector<std::string> arguments = {"--workers", std::to_string(cell.workers)};
  if (!measured.row.offload) arguments.emplace_back(kWithoutUdpOffload);
  const auto server = start_evpoold(options.series, arguments);
  const RowRun run = run_row(measured.row, *server, *make_frame_dialect(), options.series.duration,
                             watch.control());
  watch.check();
  cell.jobs_per_second.push_back(run.figures.jobs_per_second);
  cell.cpu_us_per_job.push_back(run.figures.cpu_us_per_job);
  measured.wrong += run.wrong;
  for (const std::string& fault : run.faults) {
    measured.faults.push_back(fmt::format("{} workers: {}", cell.workers, fault));
  }
}

const Cell& best_of(const MeasuredRow& row) {
  return *std::max_element(row.cells.begin(), row.cells.end(), [](const Cell& a, const Cell& b) {
    return median(a.jobs_per_second) < median(b.jobs_per_second);
  });
}

// Of rows that were begun, keeps the rounds in which every number of workers was measured; drops
// the others.
void keep_finished(std::vector<MeasuredRow>& rows) {
  for (MeasuredRow& row : rows) {
    std::size_t finished = SIZE_MAX;
    for (const Cell& cell : row.cells) finished = std::min(finished, cell.jobs_per_second.size());
    for (Cell& cell : row.cells) {
      cell.jobs_per_second.resize(finished);
      cell.cpu_us_per_job.resize(finished);
    }
  }
  std::erase_if(rows,
                [](const MeasuredRow& row) { return row.cells.front().jobs_per_second.empty(); });
}

// "best in tcp-50x16: 2 workers, 1,077,053 jobs/s"
std::string essence_of(const std::vector<MeasuredRow>& rows) {
  std::string text = "best in ";
  for (const MeasuredRow& row : rows) {
    const Cell& best = best_of(row);
    text += fmt::format("{}{}: {} worker{}, {} jobs/s", &row == &rows.front() ? "" : "; ",
                        row.row.name, best.workers, best.workers == 1 ? "" : "s",
                        number_text(median(best.jobs_per_second)));
  }
  return text;
}

void print_text(const WorkersOptions& options, const std::vector<MeasuredRow>& rows,
                const std::string& broke_off) {
  print_troubles(broke_off, faults_of(rows));
  fmt::print(
      "## evpoold with these numbers of workers: closed loop, medians of {} rounds of {}\n\n"
      "The best is the one with the highest median; a ratio to it is the median of the rounds' "
      "ratios, with their range.\n\n",
      options.series.rounds, to_string(options.series.duration));
  MarkdownTable table({"row", "workers", "jobs/s", "to the best", "CPU us/job"});
  for (const MeasuredRow& row : rows) {
    const Cell& best = best_of(row);
    for (const Cell& cell : row.cells) {
      table.add({row.row.name, std::to_string(cell.workers),
                 number_text(median(cell.jobs_per_second)),
                 spread_text(ratios_of(cell.jobs_per_second, best.jobs_per_second)),
                 fmt::format("{:.3f}", median(cell.cpu_us_per_job))});
    }
  }
  fmt::print("{}", table.text());
  print_closing(options.series.form, collect_provenance(own_arguments(), kRowSeed),
                troubled(broke_off, faults_of(rows)) + essence_of(rows));
}

void print_json(const WorkersOptions& options, const std::vector<MeasuredRow>& rows,
                const std::string& broke_off) {
  Json object = {{"schema", "evpool-bench-workers/1"},
                 {"command", "workers"},
                 {"model", "closed loop"},
                 {"rounds", options.series.rounds},
                 {"duration_ms", options.series.duration.count()},
                 {"broke_off", null_if_empty(broke_off)},
                 {"rows", Json::array()}};
  for (const MeasuredRow& row : rows) {
    const Cell& best = best_of(row);
    Json cells = Json::array();
    for (const Cell& cell : row.cells) {
      cells.push_back(
          {{"workers", cell.workers},
           {"jobs_per_second", spread_json(cell.jobs_per_second)},
           {"to_the_best", spread_json(ratios_of(cell.jobs_per_second, best.jobs_per_second))},
           {"cpu_us_per_job", spread_json(cell.cpu_us_per_job)}});
    }
    object["rows"].push_back({{"row", row.row.name},
                              {"best", best.workers},
                              {"cells", std::move(cells)},
                              {"wrong", row.wrong},
                              {"faults", row.faults}});
  }
  object["provenance"] = provenance_to_json(collect_provenance(own_arguments(), kRowSeed));
  fmt::print("{}\n", object.dump(2, ' ', false, Json::error_handler_t::replace));
}

void measure_rounds(const WorkersOptions& options, std::vector<MeasuredRow>& rows,
                    SeriesWatch& watch) {
  for (int round = 0; round < options.series.rounds; ++round) {
    for (MeasuredRow& row : rows) {
      show_series_progress(row.row.name, round, options.series);
      for (std::size_t i = 0; i < row.cells.size(); ++i) {
        // Another one begins each round, so that none always follows the same one.
        Cell& cell = row.cells[(static_cast<std::size_t>(round) + i) % row.cells.size()];
        measure(options, row, cell, watch);
      }
    }
  }
}

int run_workers(const WorkersOptions& options) {
  const std::vector<Row> asked = parse_rows(options.rows);
  require_descriptors(most_connections(asked));  // evpoold inherits them
  std::vector<MeasuredRow> rows;
  for (const Row& row : asked) {
    MeasuredRow& measured = rows.emplace_back();
    measured.row = row;
    for (const std::size_t workers : options.workers)
      measured.cells.emplace_back().workers = workers;
  }
  SeriesWatch watch;
  const std::string broke_off = watch.run([&] { measure_rounds(options, rows, watch); });
  if (!broke_off.empty()) {
    keep_finished(rows);
    if (rows.empty()) throw std::runtime_error(broke_off);
  }
  options.series.form.json ? print_json(options, rows, broke_off)
                           : print_text(options, rows, broke_off);
  const auto has_wrong = [](const MeasuredRow& row) { return row.wrong > 0; };
  if (std::any_of(rows.begin(), rows.end(), has_wrong)) return kWrongReplies;
  const auto has_faults = [](const MeasuredRow& row) { return !row.faults.empty(); };
  const bool any_faults = std::any_of(rows.begin(), rows.end(), has_faults);
  return any_faults || !broke_off.empty() ? kInvalid : kOk;
}

}  // namespace

void add_workers_command(CLI::App& app, std::function<int()>& chosen) {
  const auto options = std::make_shared<WorkersOptions>();
  CLI::App& command =
      *app.add_subcommand("workers", "evpoold with several numbers of workers; starts it itself");
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.add_option("--workers", options->workers, "The numbers, separated by spaces")
      ->transform(whole_number(1, 1'024))
      ->capture_default_str();
  add_row_flag(command, options->rows);
  add_series_flags(command, options->series);
  command.callback([options, &chosen] { chosen = [options] { return run_workers(*options); }; });
}

}  // namespace evpool::bench
