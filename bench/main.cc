// evpool-bench: measures a server. docs/benchmarks.md says how to read what it prints.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "bench/closed_loop.h"
#include "client/client.h"
#include "client/command_line.h"
#include "protocol/duration.h"

namespace {

using evpool::ClosedLoopOptions;
using evpool::ClosedLoopResult;

enum Exit : int { kOk = 0, kWrongReplies = 1, kUsage = 2, kInvalid = 3 };

struct Options {
  ClosedLoopOptions loop;
  bool json = false;
};

std::optional<int> parse_command_line(int argc, char** argv, Options& options) {
  ClosedLoopOptions& loop = options.loop;
  CLI::App app("Measures an evpool server.", "evpool-bench");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.require_subcommand(1);
  app.footer("Exit status: 0 ok; 1 replies were wrong; 2 usage; 3 the run is invalid.");
  CLI::App& run = *app.add_subcommand(
      "run", "Closed loop: each connection keeps its requests in flight; measures capacity");
  run.set_help_flag("-h,--help", "Print this help and exit");

  std::string transport = "tcp";
  run.add_option("--transport", transport, "tcp or udp")
      ->check(CLI::IsMember({"tcp", "udp"}).description(""))
      ->type_name("NAME")
      ->capture_default_str();
  evpool::add_parsed_option(
      run, "--server", [&](const std::string& text) { loop.server = evpool::parse_address(text); },
      "Where the server is")
      ->type_name("HOST:PORT")
      ->default_str(to_string(loop.server));
  run.add_option("--connections", loop.connections, "TCP connections, or UDP sockets")
      ->check(CLI::Range(1, 20'000))
      ->capture_default_str();
  run.add_option("--in-flight", loop.in_flight, "Unanswered requests on each of them")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  run.add_option("--size", loop.payload_bytes, "Payload bytes")
      ->check(CLI::Range(0U, evpool::kDefaultMaxPayloadBytes))
      ->capture_default_str();
  run.add_option("--job", loop.job, "The job to send; echo and upper are verified")
      ->capture_default_str();
  evpool::add_parsed_option(
      run, "--duration",
      [&](const std::string& text) { loop.duration = evpool::parse_duration(text); },
      "How long to send, after the warm-up")
      ->type_name("DURATION")
      ->default_str(evpool::to_string(loop.duration));
  evpool::add_parsed_option(
      run, "--timeout",
      [&](const std::string& text) { loop.timeout = evpool::parse_duration(text); },
      "A reply later than this counts as lost")
      ->type_name("DURATION")
      ->default_str(evpool::to_string(loop.timeout));
  run.add_flag("--json", options.json, "Print one JSON object");

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs((app.get_subcommands().empty() ? app : run).help().c_str(), stdout);
    return kOk;
  } catch (const CLI::ParseError& error) {
    evpool::explain_usage(app, error);
    return kUsage;
  }
  loop.udp = transport == "udp";
  return std::nullopt;
}

double microseconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1000; }

constexpr double kPercentiles[] = {50, 90, 99, 99.9};

void print_text(const Options& options, const ClosedLoopResult& result) {
  const ClosedLoopOptions& loop = options.loop;
  fmt::print("{:.0f} jobs/s  {} to {}, closed loop, {} x {} in flight, {} bytes of {}, {:.2f} s\n",
             result.jobs_per_second(), loop.udp ? "udp" : "tcp", to_string(loop.server),
             loop.connections, loop.in_flight, loop.payload_bytes, loop.job, result.seconds);
  fmt::print("latency us:");
  for (const double percent : kPercentiles) {
    fmt::print("  p{:g} {:.1f}", percent, microseconds(result.latency.percentile_ns(percent)));
  }
  fmt::print("  max {:.1f}\n", microseconds(result.latency.max_ns()));
  fmt::print("account: sent {} = ok {} + refused {} + wrong {} + lost {}\n", result.sent, result.ok,
             result.refused, result.wrong, result.lost);
}

void print_json(const Options& options, const ClosedLoopResult& result) {
  const ClosedLoopOptions& loop = options.loop;
  nlohmann::ordered_json latency;
  for (const double percent : kPercentiles) {
    latency[fmt::format("p{:g}", percent)] = microseconds(result.latency.percentile_ns(percent));
  }
  latency["max"] = microseconds(result.latency.max_ns());
  latency["mean"] = result.latency.mean_ns() / 1000;
  const nlohmann::ordered_json object = {
      {"model", "closed loop"},
      {"transport", loop.udp ? "udp" : "tcp"},
      {"server", to_string(loop.server)},
      {"connections", loop.connections},
      {"in_flight", loop.in_flight},
      {"payload_bytes", loop.payload_bytes},
      {"job", loop.job},
      {"seconds", result.seconds},
      {"jobs_per_second", result.jobs_per_second()},
      {"latency_us", latency},
      {"sent", result.sent},
      {"ok", result.ok},
      {"refused", result.refused},
      {"wrong", result.wrong},
      {"lost", result.lost},
  };
  fmt::print("{}\n", object.dump(2));
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (const auto exit = parse_command_line(argc, argv, options)) return *exit;
  try {
    const ClosedLoopResult result = evpool::run_closed_loop(options.loop);
    options.json ? print_json(options, result) : print_text(options, result);
    if (result.wrong > 0) return kWrongReplies;
    if (result.ok > 0) return kOk;
    fmt::print(stderr, "evpool-bench: no reply was ok, so nothing has been measured\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "evpool-bench: {}\n", error.what());
  }
  return kInvalid;
}
