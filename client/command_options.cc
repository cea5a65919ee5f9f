#include "client/command_options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "client/command_line.h"
#include "protocol/duration.h"

namespace evpool {
namespace {

constexpr const char* kFooter =
    "Exit status: 0 ok; 1 a job failed; 2 usage; 3 cannot connect; 4 timeout; 5 protocol error; "
    "6 input.";

void add_job_options(CLI::App& command, CommandOptions& options) {
  command.add_option("JOB", options.job, "The job's name; see 'evpool jobs'")->required();
  command.add_flag("--idempotent", options.idempotent,
                   "The job may run twice: over UDP, send it again while no reply comes");
}

}  // namespace

std::optional<Exit> parse_command_line(int argc, char** argv, CommandOptions& options) {
  using Command = CommandOptions::Command;

  CLI::App app("Sends jobs to an evpool server and prints the replies.", "evpool");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_help_all_flag("--help-all", "Print the help of all commands and exit");
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
      app, "--timeout", [&](const std::string& text) { options.timeout = parse_duration(text); },
      "How long to wait for the connection, and for each reply, such as 200ms or 2s")
      ->type_name("DURATION")
      ->default_str(to_string(options.timeout));
  app.add_flag("--json", options.json, "Print one JSON object for each reply");

  CLI::App* const call = app.add_subcommand(
      "call",
      "Send one job and print its reply; a payload from standard input is sent and its "
      "reply printed byte for byte");
  add_job_options(*call, options);
  call->add_option("PAYLOAD", options.payload, "The payload; absent or -: from standard input");
  call->callback([&] { options.command = Command::call; });

  CLI::App* const map =
      app.add_subcommand("map",
                         "Send each line of standard input as one job, many at a time; print "
                         "the replies in the lines' order");
  add_job_options(*map, options);
  map->callback([&] { options.command = Command::map; });

  app.add_subcommand("jobs", "List the jobs that the server can do")->callback([&] {
    options.command = Command::jobs;
  });
  app.add_subcommand("ping", "Ask the server whether it is there")->callback([&] {
    options.command = Command::ping;
  });

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    std::fputs((chosen.empty() ? app.help() : chosen.front()->help()).c_str(), stdout);
    return Exit::ok;
  } catch (const CLI::CallForAllHelp&) {
    std::fputs(app.help("", CLI::AppFormatMode::All).c_str(), stdout);
    return Exit::ok;
  } catch (const CLI::ParseError& error) {
    explain_usage(app, error);
    return Exit::usage;
  }
  if (options.payload == "-") options.payload.reset();
  return std::nullopt;
}

}  // namespace evpool
