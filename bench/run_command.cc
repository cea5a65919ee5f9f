#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/commands.h"
#include "bench/descriptor_limit.h"
#include "bench/exit_status.h"
#include "bench/hdr_log.h"
#include "bench/load_flags.h"
#include "bench/load_session.h"
#include "bench/output_file.h"
#include "bench/report_csv.h"
#include "bench/report_form.h"
#include "bench/report_html.h"
#include "bench/report_json.h"
#include "bench/report_text.h"
#include "client/command_line.h"
#include "console/diagnostic.h"
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

struct RunOptions {
  LoadOptions load;
  ReportForm form;
  bool quiet = false;
  std::string csv_path;
  std::string hdr_path;
  std::string html_path;
};

int run(const RunOptions& options) {
  OutputFile csv(options.csv_path);
  OutputFile hdr(options.hdr_path);
  OutputFile html(options.html_path);
  require_descriptors(options.load.connections, options.load.threads);
  LoadSession session(!options.quiet);
  const LoadResult result = session.run(options.load);
  const Provenance provenance = collect_provenance(own_arguments(), options.load.seed);
  // Before it is printed: that may fail, too, and must not take these with it.
  const std::string comments = provenance_comments(provenance);
  const std::string failures = write_all({{csv, series_to_csv(result) + comments},
                                          {hdr, histogram_log(result) + comments},
                                          {html, report_html(result, provenance)}});
  if (options.form.json) {
    fmt::print("{}\n", result_to_json(result, provenance).dump(2));
  } else {
    fmt::print("{}", report_text(result));
    print_closing(options.form, provenance, essential_line(result));
  }
  if (!failures.empty()) complain("evpool-bench", failures);
  if (result.account.wrong > 0) return kWrongReplies;
  return result.invalid.empty() && failures.empty() ? kOk : kInvalid;
}

}  // namespace

void add_run_command(CLI::App& app, std::function<int()>& chosen) {
  CLI::App& command =
      *app.add_subcommand("run",
                          "One run: how much it serves (closed loop) or how long it takes "
                          "at a given rate (open loop)");
  command.set_help_flag("-h,--help", "Print this help and exit");
  const auto options = std::make_shared<RunOptions>();
  const auto flags = std::make_shared<LoadFlags>(command, options->load);
  flags->add_rate();
  flags->add_length();
  add_parsed_option(
      command, "--interval",
      [options](const std::string& text) { options->load.interval = parse_duration(text); },
      "Of the time series and the live display")
      ->type_name("DURATION")
      ->default_str(evpool::to_string(options->load.interval));
  add_report_flags(command, options->form);
  command.add_flag("--quiet", options->quiet, "No live display");
  command.add_option("--csv", options->csv_path, "Write the time series there")->type_name("FILE");
  command.add_option("--hdr", options->hdr_path, "Write a HdrHistogram log there")
      ->type_name("FILE");
  command.add_option("--html", options->html_path, "Write a page with plots there")
      ->type_name("FILE");
  command.callback([options, flags, &chosen] {
    flags->finish();
    chosen = [options] { return run(*options); };
  });
}

}  // namespace evpool::bench
