// evpoold, the job server as a daemon. docs/operations.md is its manual.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <utility>

#include "console/diagnostic.h"
#include "console/standard_streams.h"
#include "server/builtin_jobs.h"
#include "server/daemon_options.h"
#include "server/server.h"
#include "server/shutdown_signals.h"

namespace {

using evpool::LogLevel;

constexpr int kExitError = 1;

const char* name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "?";
}

void log_line(LogLevel level, std::string_view text) {
  // One call for the whole line, so that lines of different threads do not mix.
  const std::string line = fmt::format("evpoold: {}: {}\n", name_of(level), text);
  static_cast<void>(std::fwrite(line.data(), 1, line.size(), stderr));
}

// As many descriptors as the system lets us have: each connection is one.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Whoever started us may wait for what was written: if that failed, so do we.
void require_standard_output() {
  if (const auto failure = evpool::flush_standard_output()) {
    throw std::runtime_error("cannot write to standard output: " + *failure);
  }
}

void announce(const evpool::Server& server) {
  for (const evpool::Listening& at : server.listening()) {
    fmt::print("listening {} {}\n", at.transport, to_string(at.address));
  }
  fmt::print("ready\n");
  require_standard_output();
}

std::string summary(const evpool::Statistics& counts) {
  return fmt::format(
      "received {} = completed {} + failed {} + expired {} + cancelled {} + refused {}; "
      "undelivered {}",
      counts.received, counts.completed, counts.failed, counts.expired, counts.cancelled,
      counts.refused, counts.undelivered);
}

int serve(evpool::DaemonOptions& options) {
  options.server.log = [level = options.log_level](LogLevel line_level, std::string_view text) {
    if (line_level >= level) log_line(line_level, text);
  };
  evpool::Handlers handlers;
  evpool::add_builtin_jobs(handlers);
  const evpool::Server* serving = nullptr;  // set before run(), and so before any job
  evpool::add_statistics_job(handlers, [&serving] { return serving->statistics(); });
  evpool::add_jobs_list(handlers);

  evpool::Server server(options.server, std::move(handlers));
  serving = &server;
  const evpool::ShutdownSignals signals([&server] { server.drain(); });
  announce(server);

  const evpool::DrainReport report = server.run();
  options.server.log(LogLevel::info, summary(report.statistics));
  if (report.still_running > 0) {
    log_line(LogLevel::error,
             fmt::format("{} jobs did not stop when asked to; leaving them", report.still_running));
    std::_Exit(kExitError);
  }
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  evpool::open_standard_streams(evpool::ClosedOutput::is_discarded);
  // A log that nobody reads any more is no reason to end before the jobs have.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    evpool::DaemonOptions options;
    if (const auto status = evpool::parse_command_line(argc, argv, options)) {
      require_standard_output();
      return *status;
    }
    raise_descriptor_limit();
    evpool::block_shutdown_signals();
    return serve(options);
  } catch (const std::exception& error) {
    evpool::complain("evpoold", error.what());
    return kExitError;
  }
}
