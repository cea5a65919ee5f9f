// evpoold, the job server as a daemon. docs/operations.md is its manual.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <utility>

#include "console/diagnostic.h"
#include "console/printable.h"
#include "console/standard_streams.h"
#include "server/builtin_jobs.h"
#include "server/daemon_options.h"
#include "server/log.h"
#include "server/log_writer.h"
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

// Writes without waiting, in one piece, so that lines of different threads do not mix.
void log_line(evpool::LogWriter& log, LogLevel level, std::string_view text) {
  log.write(fmt::format("evpoold: {}: {}\n", name_of(level), evpool::printable(text)));
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

// What a write to a peer or a pipe that has gone should be: an error. Not ignored, because programs
// that a handler starts would inherit that.
void outlive_broken_pipes() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  sigaction(SIGPIPE, &action, nullptr);
}

evpool::DrainReport run_and_account(evpool::Server& server, const evpool::Log& log) {
  try {
    const evpool::DrainReport report = server.run();
    log(LogLevel::info, "{}", summary(report.statistics));
    return report;
  } catch (const std::exception&) {
    log(LogLevel::info, "{}; the rest is in flight", summary(server.statistics()));
    throw;
  }
}

int serve(evpool::DaemonOptions& options) {
  constexpr std::chrono::seconds kLastFlush{1};
  evpool::LogWriter log_writer(STDERR_FILENO);
  options.server.log = [&log_writer, level = options.log_level](LogLevel line_level,
                                                                std::string_view text) {
    if (line_level >= level) log_line(log_writer, line_level, text);
  };
  const evpool::Log log(options.server.log);
  evpool::Handlers handlers;
  evpool::add_builtin_jobs(handlers);
  const evpool::Server* serving = nullptr;  // set before run(), and so before any job
  evpool::add_statistics_job(handlers, [&serving] { return serving->statistics(); });
  evpool::add_jobs_list(handlers);

  evpool::Server server(options.server, std::move(handlers));
  serving = &server;
  evpool::ShutdownSignals signals(server, [&log](int signal) {
    log(LogLevel::info, "SIG{}: nothing to do (SIGTERM drains)", sigabbrev_np(signal));
  });
  announce(server);

  const evpool::DrainReport report = run_and_account(server, log);
  signals.ignore();  // all is done, and the status is known
  if (report.still_running > 0) {
    log(LogLevel::error, "{} jobs did not stop when asked to; leaving them", report.still_running);
    log_writer.flush(kLastFlush);
    std::_Exit(kExitError);
  }
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  evpool::open_standard_streams(evpool::ClosedOutput::is_discarded);
  outlive_broken_pipes();
  try {
    evpool::DaemonOptions options;
    if (const auto status = evpool::parse_command_line(argc, argv, options)) {
      require_standard_output();
      return *status;
    }
    raise_descriptor_limit();
    return serve(options);
  } catch (const std::exception& error) {
    evpool::complain("evpoold", error.what());
    return kExitError;
  }
}
