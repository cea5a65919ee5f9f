// evpool-bench: measures a server. docs/benchmarks.md says how to read what it prints.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>

#include "bench/commands.h"
#include "bench/exit_status.h"
#include "client/command_line.h"
#include "console/diagnostic.h"
#include "console/standard_streams.h"
#include "console/version.h"

namespace {

using namespace evpool::bench;  // NOLINT(google-build-using-namespace): it is this program

// The subcommand that was given, or the whole program when there is none.
const CLI::App& given(const CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? app : *commands.front();
}

// Freed memory is kept for the next large payload: faulting it in anew would be measured with the
// server. In one arena, because only the first has no bound of 64 MiB (mallopt(3)).
void keep_freed_memory() {
  constexpr int kKeptBytes = 1 << 30;
  // NOLINTBEGIN(concurrency-mt-unsafe): there is one thread yet
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, kKeptBytes);
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  // NOLINTEND(concurrency-mt-unsafe)
}

int run(int argc, char** argv) {
  CLI::App app("Measures an evpool server.", "evpool-bench");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_help_all_flag("--help-all", "Print the help of all commands and exit");
  app.set_version_flag("--version", evpool::version_line("evpool-bench"),
                       "Print the version and exit");
  app.require_subcommand(1);
  app.footer(
      "Numbers: 20k is 20,000 and 1.5M is 1,500,000; of bytes, 64K is 65,536.\n"
      "Exit status: 0 ok; 1 wrong replies, or a regression; 2 usage; 3 not to be believed.");
  std::function<int()> chosen;
  add_run_command(app, chosen);
  add_sweep_command(app, chosen);
  add_knee_command(app, chosen);
  add_compare_command(app, chosen);
  add_gate_command(app, chosen);
  add_floors_command(app, chosen);
  add_peers_command(app, chosen);
  add_connections_command(app, chosen);
  add_workers_command(app, chosen);
  add_mixed_command(app, chosen);
  add_mgk_command(app, chosen);
  add_self_command(app, chosen);
  add_doctor_command(app, chosen);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(given(app).help().c_str(), stdout);
    return kOk;
  } catch (const CLI::CallForAllHelp&) {
    std::fputs(app.help("", CLI::AppFormatMode::All).c_str(), stdout);
    return kOk;
  } catch (const CLI::CallForVersion& version) {
    std::fputs(fmt::format("{}\n", version.what()).c_str(), stdout);
    return kOk;
  } catch (const CLI::ParseError& error) {
    evpool::explain_usage(app, error);
    return kUsage;
  }
  try {
    return chosen();
  } catch (const std::invalid_argument& error) {
    evpool::complain("evpool-bench", error.what());
    return kUsage;
  } catch (const std::exception& error) {
    evpool::complain("evpool-bench", error.what());
    return kInvalid;
  }
}

}  // namespace

int main(int argc, char** argv) {
  evpool::open_standard_streams(evpool::ClosedOutput::is_an_error);
  keep_freed_memory();
  const int status = run(argc, argv);
  const auto failure = evpool::flush_standard_output();
  if (!failure) return status;
  evpool::complain("evpool-bench", "cannot write to standard output: " + *failure);
  return status == kOk ? kInvalid : status;
}
