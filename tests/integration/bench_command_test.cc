// evpool-bench against a real evpoold.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/becomes_true.h"
#include "tests/integration/program.h"
#include "tests/unit/bench/answering_server.h"

namespace evpool {
namespace {

using nlohmann::json;

class Bench : public testing::Test {
 protected:
  Finished bench(std::vector<std::string> arguments, const std::string& transport = "tcp") {
    arguments.insert(arguments.begin(), built_program("evpool-bench"));
    arguments.insert(arguments.end(), {"--server", daemon_.address(transport)});
    return run(arguments);
  }
  Daemon& daemon() { return daemon_; }

 private:
  Daemon daemon_;
};

// Whether the server has done a hundred jobs. Some of them are these questions themselves; at a
// rate of 200 others are among them soon.
bool is_measuring(const Daemon& daemon) {
  const std::string counts = daemon.evpool({"call", "stats"}).output;
  const std::size_t at = counts.find("completed ");
  return at != std::string::npos && std::stoul(counts.substr(at + 10)) > 100;
}

json account_of(const json& result) { return result.at("account"); }

void expect_balance(const json& result) {
  const json account = account_of(result);
  std::uint64_t refused = 0;
  for (const auto& [status, count] : account.at("refused").items()) {
    refused += count.get<std::uint64_t>();
  }
  const auto number = [&](const char* key) { return account.at(key).get<std::uint64_t>(); };
  EXPECT_EQ(number("scheduled"), number("sent") + number("skipped"));
  EXPECT_EQ(number("sent"),
            number("ok") + refused + number("wrong") + number("lost") + number("unresolved"));
}

TEST_F(Bench, an_open_loop_over_each_transport_counts_with_the_server) {
  for (const std::string transport : {"tcp", "udp"}) {
    const Finished finished = bench({"run", "--transport", transport, "--rate", "500", "--duration",
                                     "300ms", "--warmup", "0s", "--json"},
                                    transport);
    const json result = json::parse(finished.output);
    expect_balance(result);
    EXPECT_EQ(account_of(result).at("ok"), account_of(result).at("scheduled"));
    // The server has counted the request for its statistics, too.
    EXPECT_EQ(result.at("server").at("received").get<std::uint64_t>(),
              account_of(result).at("sent").get<std::uint64_t>() + 1);
    EXPECT_FALSE(result.at("provenance").at("argv").get<std::string>().empty());
  }
}

TEST_F(Bench, writes_the_files_it_is_asked_for) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("evpool-bench-test-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const auto path = [&](const char* name) { return (folder / name).string(); };
  const Finished finished =
      bench({"run", "--duration", "150ms", "--interval", "50ms", "--csv", path("a.csv"), "--hdr",
             path("a.hdr"), "--html", path("a.html"), "--verbose"});
  EXPECT_EQ(finished.status, 0) << finished.errors;
  const auto content = [&](const char* name) {
    std::ifstream file(path(name));
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  };
  EXPECT_EQ(content("a.csv").substr(0, 8), "begin_s,");
  // Whatever carries a result says how it was measured.
  for (const std::string& result :
       {content("a.csv"), content("a.hdr"), content("a.html"), finished.output}) {
    EXPECT_NE(result.find("commit"), std::string::npos);
    EXPECT_NE(result.find("--interval 50ms"), std::string::npos);
  }
  EXPECT_NE(content("a.hdr").find("#[Histogram log format version 1.3]"), std::string::npos);
  EXPECT_NE(content("a.html").find("<svg"), std::string::npos);
  // The disk may become full meanwhile; the other files and the report are none the worse for it.
  const Finished full = bench(
      {"run", "--duration", "50ms", "--csv", "/dev/full", "--html", path("b.html"), "--json"});
  EXPECT_EQ(full.status, 3);
  EXPECT_EQ(full.errors, "evpool-bench: cannot write /dev/full: No space left on device\n");
  EXPECT_NE(content("b.html").find("<svg"), std::string::npos);
  EXPECT_TRUE(json::parse(full.output).at("valid").get<bool>());
  std::filesystem::remove_all(folder);
}

TEST(BenchOutput, a_file_that_cannot_be_written_is_refused_before_anything_is_measured) {
  // Nobody listens there, as would be said if it were asked first.
  for (const std::vector<std::string>& command : {std::vector<std::string>{"run", "--csv"},
                                                  {"run", "--hdr"},
                                                  {"run", "--html"},
                                                  {"sweep", "--html"}}) {
    const Finished refused = run({built_program("evpool-bench"), command[0], "--server",
                                  "127.0.0.1:1", command[1], "/nowhere/a"});
    EXPECT_EQ(refused.status, 2) << command[0] << command[1];
    EXPECT_EQ(refused.output, "");
    EXPECT_TRUE(refused.errors.starts_with("evpool-bench: cannot write /nowhere/a: No such file "))
        << refused.errors;
  }
}

TEST_F(Bench, says_when_standard_output_cannot_be_written) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"run", "--duration", "50ms", "--server", daemon().address("tcp")},
        {"mgk", "--jobs", "1000", "--json"},
        {"--help"},
        {"run", "--help"},
        {"--help-all"}}) {
    std::vector<std::string> command = {"/bin/sh", "-c", R"(exec "$0" "$@" > /dev/full)",
                                        built_program("evpool-bench")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const Finished finished = evpool::run(command);
    EXPECT_EQ(finished.status, 3) << arguments[0];
    EXPECT_NE(finished.errors.find("evpool-bench: cannot write to standard output"),
              std::string::npos)
        << arguments[0] << ": " << finished.errors;
  }
}

TEST_F(Bench, one_interrupt_drains_and_reports) {
  Program program({built_program("evpool-bench"), "run", "--server", daemon().address("tcp"),
                   "--rate", "200", "--duration", "60s", "--warmup", "0s", "--json"});
  ASSERT_TRUE(becomes_true([&] { return is_measuring(daemon()); }));
  program.signal(SIGINT);
  program.wait();
  const json result = json::parse(program.output());
  EXPECT_TRUE(result.at("interrupted").get<bool>());
  expect_balance(result);
  EXPECT_GT(account_of(result).at("ok"), 0U);
  EXPECT_EQ(account_of(result).at("unresolved"), 0U);
}

TEST_F(Bench, a_server_that_dies_leaves_an_invalid_result) {
  Program program({built_program("evpool-bench"), "run", "--server", daemon().address("tcp"),
                   "--rate", "200", "--duration", "60s", "--warmup", "0s", "--json"});
  ASSERT_TRUE(becomes_true([&] { return is_measuring(daemon()); }));
  daemon().program().signal(SIGKILL);
  EXPECT_EQ(program.wait(), 3);
  const json result = json::parse(program.output());
  expect_balance(result);
  EXPECT_FALSE(result.at("valid").get<bool>());
  EXPECT_NE(result.at("invalid").dump().find("all 1 connections broke"), std::string::npos);
  EXPECT_GT(account_of(result).at("ok"), 0U);
  EXPECT_GT(account_of(result).at("skipped"), 0U);
}

TEST_F(Bench, a_sweep_goes_up_and_down) {
  const Finished finished =
      bench({"sweep", "--rates", "200,100", "--duration", "100ms", "--seed", "7", "--json"});
  const json results = json::parse(finished.output);
  ASSERT_EQ(results.size(), 4U);
  const double rates[] = {100, 200, 200, 100};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(results[i].at("options").at("rate").get<double>(), rates[i]);
    EXPECT_EQ(results[i].at("options").at("seed").get<std::uint64_t>(), 7 + i);
    expect_balance(results[i]);
  }
}

TEST_F(Bench, a_sweep_says_what_it_found) {
  const Finished finished = bench({"sweep", "--rates", "100,200", "--duration", "100ms"});
  EXPECT_NE(finished.output.find("\n\nkeeps up "), std::string::npos) << finished.output;
}

TEST(BenchAgainstAWrongServer, every_command_says_so_and_fails) {
  AnsweringServer server(false, [](const Frame&) { return Answer{.payload = "another's"}; });
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"run", "--duration", "50ms"},
        {"sweep", "--rates", "200", "--duration", "50ms"},
        {"knee", "--from", "200", "--duration", "20ms"}}) {
    std::vector<std::string> command = {built_program("evpool-bench")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    command.insert(command.end(), {"--warmup", "0s", "--server", to_string(server.address())});
    const Finished finished = run(command);
    EXPECT_EQ(finished.status, 1) << arguments[0] << finished.errors;
    EXPECT_NE((finished.output + finished.errors).find("WRONG: "), std::string::npos)
        << arguments[0];
  }
}

TEST_F(Bench, a_knee_that_no_rate_has) {
  const Finished finished = bench(
      {"knee", "--slo", "p50<0.001us", "--from", "0.5", "--duration", "20ms", "--warmup", "0s"});
  EXPECT_EQ(finished.status, 3);
  EXPECT_TRUE(finished.output.starts_with("no knee: no rate was found")) << finished.output;
  EXPECT_NE(finished.errors.find("/s  no: "), std::string::npos) << "the runs are beside it";
}

TEST_F(Bench, options_that_contradict_are_a_usage_error) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"run", "--threads", "2"},
        {"run", "--impair", "drop=1%"},
        {"run", "--mix", "upper:0"},
        {"knee", "--slo", "p99"},
        {"sweep", "--from", "10", "--to", "5"},
        {"run", "--mix", "upper:1", "--size", "5"},
        {"run", "--pin", "99999"},
        {"mgk", "--seed", "-1"}}) {
    const Finished finished = bench(arguments);
    EXPECT_EQ(finished.status, 2) << arguments[0] << ' ' << arguments[1];
    EXPECT_EQ(finished.errors.substr(0, 14), "evpool-bench: ");
  }
}

TEST_F(Bench, a_sweep_refuses_a_rate_that_cannot_be_before_it_measures_any) {
  const Finished finished = bench({"sweep", "--rates", "100,1e12", "--duration", "20ms"});
  EXPECT_EQ(finished.status, 2);
  EXPECT_EQ(finished.output, "");
  EXPECT_NE(finished.errors.find("1e12"), std::string::npos) << finished.errors;
}

TEST_F(Bench, more_connections_than_descriptors_say_how_many_and_what_to_do) {
  const auto with_100_descriptors = [&](const std::string& connections) {
    return run({"/bin/sh", "-c", R"(ulimit -n 100 && exec "$0" "$@")",
                built_program("evpool-bench"), "run", "--duration", "20ms", "--connections",
                connections, "--server", daemon().address("tcp")});
  };
  const Finished many = with_100_descriptors("200");
  EXPECT_EQ(many.status, 2);
  EXPECT_EQ(many.output, "");
  EXPECT_NE(many.errors.find("200 connections need 233 file descriptors, and 100 are allowed here "
                             "(say ulimit -n 233"),
            std::string::npos)
      << many.errors;
  EXPECT_EQ(with_100_descriptors("60").status, 0);
}

TEST(BenchUsage, suggests_only_what_the_command_has) {
  struct Row {
    std::vector<std::string> arguments;
    std::string said;
  };
  for (const Row& row : std::vector<Row>{
           {{"sweep", "--rate", "5"}, "unknown option '--rate' (did you mean '--rates'?)"},
           {{"knee", "--rats", "5"}, "unknown option '--rats' (did you mean '--ramp'?)"},
           {{"swep"}, "unknown command 'swep' (did you mean 'sweep'?)"},
           {{"swep", "--rates", "5"}, "unknown command 'swep' (did you mean 'sweep'?)"},
           {{"measure"}, "unknown command 'measure'"},
           {{"--rate", "5", "run"}, "'--rate' is an option of 'run': give it after that"},
           {{"--hlep"}, "unknown option '--hlep' (did you mean '--help'?)"},
       }) {
    std::vector<std::string> command = {built_program("evpool-bench")};
    command.insert(command.end(), row.arguments.begin(), row.arguments.end());
    const Finished finished = run(command);
    EXPECT_EQ(finished.status, 2);
    EXPECT_EQ(finished.errors, "evpool-bench: " + row.said + "\nTry 'evpool-bench --help'.\n");
  }
}

}  // namespace
}  // namespace evpool
