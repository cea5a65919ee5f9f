// What evpool-bench prints, and in which order.
#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/becomes_true.h"
#include "tests/integration/program.h"
#include "tests/unit/bench/answering_server.h"

namespace evpool {
namespace {

using nlohmann::json;

Finished bench(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), built_program("evpool-bench"));
  return run(arguments);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(BenchVersion, is_the_projects) {
  const Finished finished = bench({"--version"});
  EXPECT_EQ(finished.status, 0);
  EXPECT_TRUE(std::regex_match(finished.output, std::regex(R"(evpool-bench \d+\.\d+\.\d+\n)")))
      << finished.output;
}

// Each command; the texts say what its first and its last line are.
struct Command {
  std::vector<std::string> arguments;
  std::string first;
  std::string last;
};

TEST(BenchReport, begins_and_ends_with_results_and_has_the_provenance_only_when_asked) {
  const Daemon daemon;
  const std::string server = daemon.address("tcp");
  const std::vector<Command> commands = {
      {{"run", "--server", server, "--duration", "50ms"},
       R"(.*jobs/s  tcp to .*|INVALID: .*)",
       R"((INVALID: )?[0-9,.]+ jobs/s, p50 .*)"},
      {{"sweep", "--server", server, "--rates", "100", "--duration", "100ms"},
       R"( *rate/s .*)",
       R"(keeps up with .*)"},
      {{"knee", "--server", server, "--slo", "p50<0.001us", "--from", "0.5", "--duration", "20ms",
        "--warmup", "0s"},
       R"(no knee: .*)",
       R"(no knee: .*)"},
      {{"workers", "--workers", "1", "--rounds", "1", "--duration", "20ms"},
       R"(## evpoold with .*|INVALID: .*)",
       R"((INVALID: )?best in tcp-50x16: 1 worker, .*)"},
      {{"floors", "--row", "tcp-1x1", "--rounds", "1", "--duration", "20ms"},
       R"(## evpool beside its floors.*|INVALID: .*)",
       R"((INVALID: )?1 row: evpool/hop .*)"},
      {{"connections", "--connections", "10", "--rounds", "1", "--duration", "20ms"},
       R"(## 10 connections.*|INVALID: .*)",
       R"((INVALID: )?10 connections serve .*)"},
      {{"mgk", "--jobs", "10k"}, R"(## 2 workers .*)", R"(2 workers at 70 % load, p99 .*)"},
      {{"self", "--rounds", "1", "--duration", "20ms"},
       R"(the generator .*|INVALID: .*)",
       R"(the generator .*|INVALID: .*)"},
      {{"doctor"}, R"(verdict: .*)", R"(verdict: .*)"}};
  for (const Command& command : commands) {
    for (const bool verbose : {false, true}) {
      std::vector<std::string> arguments = command.arguments;
      if (verbose) arguments.emplace_back("-v");
      const Finished finished = bench(arguments);
      const std::vector<std::string> lines = lines_of(finished.output);
      ASSERT_FALSE(lines.empty()) << arguments[0] << finished.errors;
      EXPECT_TRUE(std::regex_match(lines.front(), std::regex(command.first))) << finished.output;
      EXPECT_TRUE(std::regex_match(lines.back(), std::regex(command.last))) << finished.output;
      EXPECT_EQ(finished.output.find("## Measured with") != std::string::npos, verbose)
          << finished.output;
    }
  }
}

TEST(BenchReport, json_always_has_the_provenance_and_each_part_s_flags) {
  const Finished finished = bench({"mgk", "--jobs", "1k", "--json"});
  const json provenance = json::parse(finished.output).at("provenance");
  EXPECT_FALSE(provenance.at("commit").empty());
  for (const char* const part : {"flags", "server flags", "threadpool flags"}) {
    const std::string flags = provenance.at(part);
    EXPECT_EQ(flags.find("-O"), flags.rfind("-O")) << part << ": " << flags;
  }
}

TEST(BenchReport, no_rate_has_more_digits_than_can_be_read) {
  const Daemon daemon;
  const Finished finished = bench(
      {"run", "--server", daemon.address("tcp"), "--rate", "2345.6789012", "--duration", "100ms"});
  EXPECT_NE(finished.output.find("open loop at 2,346/s "), std::string::npos) << finished.output;
  EXPECT_FALSE(std::regex_search(finished.output, std::regex(R"([0-9]\.[0-9]{4,}/s)")));
}

TEST(BenchReport, a_series_ends_without_a_spike) {
  const Daemon daemon;
  // 63 intervals and a third of one, which alone would be next to nothing.
  const Finished finished =
      bench({"run", "--server", daemon.address("tcp"), "--connections", "8", "--in-flight", "64",
             "--duration", "190ms", "--interval", "3ms", "--json"});
  const json series = json::parse(finished.output).at("series");
  ASSERT_GE(series.size(), 2U);
  for (const json& row : series) EXPECT_GE(row.at("length_s").get<double>(), 0.0015 - 1e-9);
}

// Its runs are made until it breaks off; what was measured is there.
TEST(BenchReport, a_server_that_goes_away_between_two_runs_takes_no_report_with_it) {
  Daemon daemon;
  Program sweep({built_program("evpool-bench"), "sweep", "--server", daemon.address("tcp"),
                 "--rates", "100,200", "--duration", "300ms", "--quiet"});
  EXPECT_NE(sweep.next_line().find("rate/s"), std::string::npos);
  const std::string row = sweep.next_line();  // of the first run
  EXPECT_NE(row.find(" 100 "), std::string::npos) << row;
  daemon.program().signal(SIGKILL);
  EXPECT_EQ(sweep.wait(), 3);
  EXPECT_NE(sweep.errors().find("the sweep broke off at "), std::string::npos) << sweep.errors();
  EXPECT_NE(sweep.output().find("keeps up with "), std::string::npos) << sweep.output();
}

TEST(BenchReport, one_failed_connect_does_not_lose_it) {
  const Daemon daemon({"--max-connections", "1"});
  // A connection is begun while the one before it is still being closed, and turned away.
  const Finished finished = bench({"run", "--server", daemon.address("tcp"), "--reconnect-every",
                                   "1", "--duration", "200ms", "--json"});
  const json result = json::parse(finished.output);
  EXPECT_TRUE(result.at("account").at("balances").get<bool>());
  EXPECT_TRUE(result.at("account").contains("failed_connects"));
}

TEST(BenchUsage, numbers_take_suffixes_everywhere) {
  EXPECT_EQ(bench({"mgk", "--jobs", "1k", "--kind", "1:0.1k"}).status, 0);
  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{"mgk", "--jobs", "1kk"},
        {"mgk", "--jobs", "101M"},
        {"sweep", "--rates", "1k,2q"},
        {"sweep", "--from", "2G"},
        {"run", "--size", "65M"},
        {"run", "--connections", "20.5"},
        {"connections", "--connections", "30k"},
        {"workers", "--workers", "2k"},
        {"compare", "--ab", "true", "true", "--runs", "1.5k"},
        {"run", "--count", "99999999999999999999G"}}) {
    const Finished finished = bench(wrong);
    EXPECT_EQ(finished.status, 2) << testing::PrintToString(wrong);
    EXPECT_NE(finished.errors.find(": expected "), std::string::npos) << finished.errors;
  }
}

}  // namespace
}  // namespace evpool
