#include "client/command_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <utility>
#include <vector>

#include "client/arguments.h"
#include "client/command_line.h"
#include "console/diagnostic.h"
#include "console/version.h"
#include "protocol/constants.h"
#include "protocol/duration.h"

namespace evpool {
namespace {

constexpr const char* kFooter =
    "Exit status: 0 ok; 1 a job failed; 2 usage; 3 cannot connect; 4 timeout; 5 protocol error; "
    "6 input.";

void add_job_options(CLI::App& command, CommandOptions& options) {
  command.add_option("JOB", "The job's name; see 'evpool jobs'")->required();
  command.add_flag("--idempotent", options.idempotent,
                   "The job may run twice: over UDP, send it again while no reply comes");
}

std::chrono::milliseconds parse_timeout(const std::string& text) {
  const auto timeout = parse_duration(text);
  if (timeout.count() == 0) {
    throw std::invalid_argument("'" + text + "' leaves no time for a reply (expected 1ms or more)");
  }
  return timeout;
}

// A whole number from 1 on.
std::uint64_t parse_count(const std::string& text, std::uint64_t most) {
  std::uint64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc() || stop != end || count < 1 || count > most) {
    throw std::invalid_argument(fmt::format("'{}' is not a whole number from 1 to {}", text, most));
  }
  return count;
}

// The help of a command, and what all commands have in common.
std::string help_of(const CLI::App& command, const CLI::App& app) {
  std::vector<const CLI::Option*> common;
  for (const CLI::Option* option : app.get_options()) {
    const bool about_evpool = option->check_name("--help") || option->check_name("--help-all") ||
                              option->check_name("--version");
    if (!about_evpool) common.push_back(option);
  }
  const CLI::Formatter formatter;
  return command.help(app.get_name()) +
         formatter.make_group("Options of every command", false, common) + "\n" + kFooter + "\n";
}

void explain(const std::string& what) {
  complain("evpool", what);
  say("Try 'evpool --help'.\n");
}

}  // namespace

std::optional<Exit> parse_command_line(int argc, const char* const* argv, CommandOptions& options) {
  using Command = CommandOptions::Command;

  CLI::App app("Sends jobs to an evpool server and prints the replies.", "evpool");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_help_all_flag("--help-all", "Print the help of all commands and exit");
  app.set_version_flag("--version", version_line("evpool"), "Print the version and exit");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();  // the options may also follow the command
  add_parsed_option(
      app, "--server", [&](const std::string& text) { options.server = parse_address(text); },
      "Where the server is")
      ->type_name("HOST:PORT")
      ->default_str(to_string(options.server));
  app.add_flag("--udp", options.udp, "Talk UDP instead of TCP");
  add_parsed_option(
      app, "--timeout", [&](const std::string& text) { options.timeout = parse_timeout(text); },
      "How long all may take, from connecting to the reply; of map, the connection, and each reply "
      "from its turn on; such as 200ms or 2s")
      ->type_name("DURATION")
      ->default_str(to_string(options.timeout));
  app.add_flag("--json", options.json, "Print one JSON object for each reply");
  add_parsed_option(
      app, "--max-payload",
      [&](const std::string& text) {
        options.max_payload = static_cast<std::uint32_t>(parse_count(text, UINT32_MAX));
      },
      "The largest payload sent, and the largest reply taken, bytes")
      ->type_name("BYTES")
      ->default_str(std::to_string(options.max_payload));

  CLI::App* const call = app.add_subcommand(
      "call",
      "Send one job and print its reply; a payload from standard input is sent and its "
      "reply printed byte for byte");
  add_job_options(*call, options);
  call->add_option(
      "PAYLOAD", "The payload; absent or -: from standard input; after --: whatever it looks like");
  call->callback([&] { options.command = Command::call; });

  CLI::App* const map =
      app.add_subcommand("map",
                         "Send each line of standard input as one job, many at a time; print "
                         "the replies in the lines' order");
  add_job_options(*map, options);
  add_parsed_option(
      *map, "--in-flight",
      [&](const std::string& text) {
        options.in_flight = parse_count(text, CommandOptions::kMostInFlight);
      },
      "How many jobs to have unanswered (default: up to 256, fewer while jobs are slow)")
      ->type_name("N");
  map->add_flag("--keep-going", options.keep_going,
                "Go on with the other lines when the server has no such job");
  map->callback([&] { options.command = Command::map; });

  app.add_subcommand("jobs", "List the jobs that the server can do")->callback([&] {
    options.command = Command::jobs;
  });
  app.add_subcommand("ping", "Ask the server whether it is there")->callback([&] {
    options.command = Command::ping;
  });

  for (CLI::App* command : app.get_subcommands(nullptr)) command->footer("");  // comes last
  try {
    Arguments arguments = read_arguments(app, argc, argv);
    std::vector<std::string>& words = arguments.words;
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(words);
    options.job = arguments.job.value_or("");
    if (!arguments.payload_from_input) options.payload = std::move(arguments.payload);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    const std::string help = chosen.empty() ? app.help() : help_of(*chosen.front(), app);
    std::fputs(help.c_str(), stdout);
    return Exit::ok;
  } catch (const CLI::CallForAllHelp&) {
    std::fputs(app.help("", CLI::AppFormatMode::All).c_str(), stdout);
    return Exit::ok;
  } catch (const CLI::CallForVersion&) {
    std::puts(version_line("evpool").c_str());
    return Exit::ok;
  } catch (const CLI::ParseError& error) {
    explain_usage(app, error);
    return Exit::usage;
  } catch (const std::invalid_argument& error) {
    explain(error.what());
    return Exit::usage;
  }
  const bool sends_job = options.command == Command::call || options.command == Command::map;
  if (sends_job && (options.job.empty() || options.job.size() > kMaxJobNameBytes)) {
    explain(fmt::format("a job's name has 1 to {} bytes, this one {}", kMaxJobNameBytes,
                        options.job.size()));
    return Exit::usage;
  }
  return std::nullopt;
}

}  // namespace evpool
