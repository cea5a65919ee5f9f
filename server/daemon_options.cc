#include "server/daemon_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "console/diagnostic.h"
#include "console/version.h"
#include "protocol/duration.h"
#include "protocol/suggestion.h"
#include "threadpool/thread_pool.h"

namespace evpool {
namespace {

constexpr int kExitUsage = 2;
constexpr const char* kNone = "none";

std::vector<Address> parse_addresses(const std::vector<std::string>& texts) {
  std::vector<Address> addresses;
  for (const std::string& text : texts) {
    if (text != kNone) addresses.push_back(parse_address(text));
  }
  return addresses;
}

LogLevel parse_log_level(const std::string& text) {
  const std::vector<std::string> names = {"debug", "info", "warning", "error"};
  const auto name = std::find(names.begin(), names.end(), text);
  if (name != names.end()) return static_cast<LogLevel>(name - names.begin());
  throw std::invalid_argument(
      fmt::format("'{}' is not a level{} (expected debug, info, warning or "
                  "error)",
                  text, suggest(text, names)));
}

void explain_usage(const CLI::App& app, const CLI::ParseError& error) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) known.push_back(option->get_name());
  std::string what = error.what();
  for (const std::string& extra : app.remaining()) {
    if (!extra.starts_with('-')) continue;
    what = fmt::format("unknown option '{}'{}", extra, suggest(extra, known));
    break;
  }
  complain("evpoold", what);
  say("Try 'evpoold --help'.\n");
}

// Has CLI11 name the option whose text was refused.
template <typename Parse>
void parse_option(const char* flag, Parse parse) {
  try {
    parse();
  } catch (const std::invalid_argument& error) {
    throw CLI::ValidationError(flag, error.what());
  }
}

// A repeatable option that takes one address at a time.
void add_addresses(CLI::App& app, const char* flag, std::vector<Address>& addresses,
                   const char* default_text, const char* description) {
  addresses = parse_addresses({default_text});
  app.add_option_function<std::vector<std::string>>(
         flag,
         [flag, &addresses](const std::vector<std::string>& texts) {
           parse_option(flag, [&] { addresses = parse_addresses(texts); });
         },
         description)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("ADDR:PORT")
      ->default_str(default_text);
}

}  // namespace

std::optional<int> parse_command_line(int argc, char** argv, DaemonOptions& options) {
  ServerOptions& server = options.server;
  CLI::App app(
      "The evpool job server: takes jobs over UDP and TCP and runs them on a pool of workers.",
      "evpoold");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", version_line("evpoold"), "Print the version and exit");
  add_addresses(app, "--tcp", server.tcp, "127.0.0.1:6666",
                "Listen here for frames and text lines; repeatable; none: not at all");
  add_addresses(app, "--udp", server.udp, "127.0.0.1:6666",
                "Listen here for datagrams; repeatable; none: not at all");
  add_addresses(
      app, "--tcp-raw", server.tcp_raw, kNone,
      "Listen here without framing, each chunk a payload for the default job; repeatable");
  app.add_option("--workers", server.workers, "Worker threads; 0: one for each usable CPU")
      ->check(CLI::Range(std::size_t{0}, ThreadPoolOptions::kMaxWorkers))
      ->capture_default_str();
  app.add_option("--io-threads", server.io_threads,
                 "Threads that receive; connections and UDP peers are spread over them")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--queue", server.queue_tasks,
                 "Jobs that may wait, of each priority; one more is answered busy")
      ->check(CLI::Range(std::size_t{1}, ThreadPoolOptions::kMaxCapacityTasks))
      ->capture_default_str();
  app.add_option("--default-job", server.default_job, "The job for payloads that name none")
      ->capture_default_str();
  app.add_flag("--udp-raw-from-elsewhere", server.udp_raw_from_elsewhere,
               "Take raw datagrams from other machines, too, not frames only");
  app.add_option("--rcvbuf", server.receive_buffer_bytes,
                 "Receive buffer asked of the kernel for each UDP socket, in bytes")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  app.add_flag_function(
      "--no-udp-offload", [&server](std::int64_t) { server.udp_offload = false; },
      "Pass each datagram through the kernel on its own, without UDP_GRO and UDP_SEGMENT");
  app.add_option("--max-payload", server.max_payload_bytes, "Largest payload taken, in bytes")
      ->check(CLI::Range(std::uint32_t{1}, UINT32_MAX))
      ->capture_default_str();
  app.add_option("--max-connections", server.max_connections,
                 "TCP connections at a time; one more replaces an idle one or is answered busy")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20U))
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--drain-timeout",
         [&server](const std::string& text) {
           parse_option("--drain-timeout", [&] { server.drain_timeout = parse_duration(text); });
         },
         "How long a shutdown waits for jobs before it stops them, such as 500ms or 10s")
      ->type_name("DURATION")
      ->default_str(to_string(server.drain_timeout));
  app.add_option_function<std::string>(
         "--log-level",
         [&options](const std::string& text) {
           parse_option("--log-level", [&] { options.log_level = parse_log_level(text); });
         },
         "debug, info, warning or error")
      ->type_name("LEVEL")
      ->default_str("info");

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return 0;
  } catch (const CLI::CallForVersion& version) {
    std::puts(version.what());
    return 0;
  } catch (const CLI::ParseError& error) {
    explain_usage(app, error);
    return kExitUsage;
  }
  return std::nullopt;
}

}  // namespace evpool
