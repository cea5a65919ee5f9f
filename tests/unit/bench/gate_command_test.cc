// gate, from the command line to the exit status; what it has in common with compare is in
// compare_command_test.cc.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/unit/bench/compare_testing.h"

namespace evpool::bench {
namespace {

using GateCommand = CompareCommand;

TEST_F(GateCommand, the_smallest_effect_is_a_percentage) {
  for (const char* good : {"5%", "0%", "2.5%", "100%", "1000%"}) {
    EXPECT_EQ(usage_error({"gate", "a", "b", "--min-effect", good}), "") << good;
  }
  for (const char* bad : {"5", "", "%", "five%", "-1%", "1001%", "nan%", "5%%", "5 %", "0.05"}) {
    EXPECT_TRUE(contains(usage_error({"gate", "a", "b", "--min-effect", bad}), "such as 5%"))
        << bad;
  }
}

TEST_F(GateCommand, a_metric_without_a_known_direction_needs_one) {
  EXPECT_TRUE(contains(usage_error({"gate", "a", "b", "--metric", "server.wakeups"}), "--better"));
  EXPECT_EQ(usage_error({"gate", "a", "b", "--metric", "server.wakeups", "--better", "lower"}), "");
  EXPECT_NE(usage_error({"gate", "a", "b", "--better", "upper"}), "");
}

// --- gate ---------------------------------------------------------------------------------------

TEST_F(GateCommand, a_slowdown_of_a_fifth_is_a_regression) {
  const Outcome outcome =
      run({"gate", write("base", runs_around(1'000)), write("new", runs_around(800))});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(outcome.out.starts_with("regression of more than 5 %: NEW is 0.80 times BASE (95 % "))
      << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "  BASE  median 1,000")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "  NEW   median 800")) << outcome.out;
  EXPECT_EQ(outcome.error, "");
}

TEST_F(GateCommand, what_is_better_or_the_same_passes) {
  const std::string base = write("base", runs_around(1'000));
  const Outcome same = run({"gate", base, base});
  EXPECT_EQ(same.status, 0);
  EXPECT_TRUE(same.out.starts_with("pass, no regression of 5 %: NEW is 1.00 times BASE"))
      << same.out;
  EXPECT_EQ(run({"gate", base, write("new", runs_around(1'300))}).status, 0);
}

TEST_F(GateCommand, for_latency_more_is_worse) {
  const std::string fast = write("fast", runs_around(1'000));
  const std::string slow = write("slow", runs_around(800));
  EXPECT_EQ(run({"gate", fast, slow, "--metric", "latency_us.p99"}).status, 1);
  EXPECT_EQ(run({"gate", slow, fast, "--metric", "latency_us.p99"}).status, 0);
}

TEST_F(GateCommand, the_direction_may_be_told) {
  const std::string base = write("base", runs_around(1'000));
  const std::string more = write("more", runs_around(1'300));
  EXPECT_EQ(run({"gate", base, more, "--better", "lower"}).status, 1);
  EXPECT_EQ(run({"gate", base, more, "--better", "higher"}).status, 0);
}

TEST_F(GateCommand, a_significant_change_smaller_than_the_smallest_effect_passes) {
  const std::vector<std::string> command = {"gate", write("base", runs_around(1'000)),
                                            write("new", runs_around(900)), "--min-effect"};
  const auto status_with = [&](const std::string& min_effect) {
    std::vector<std::string> arguments = command;
    arguments.push_back(min_effect);
    return run(arguments).status;
  };
  EXPECT_EQ(status_with("5%"), 1);
  EXPECT_EQ(status_with("9.5%"), 1);
  EXPECT_EQ(status_with("10.5%"), 0);
  EXPECT_EQ(status_with("0%"), 1);
}

TEST_F(GateCommand, a_large_change_that_is_not_significant_passes_and_says_what_it_cannot_exclude) {
  std::vector<json> base;
  std::vector<json> next;
  for (const double value : {1'000, 2'000, 500, 1'500, 700}) base.push_back(result_with(value));
  for (const double value : {800, 1'700, 400, 1'400, 600}) next.push_back(result_with(value));
  const Outcome outcome = run({"gate", write("base", base), write("new", next)});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(contains(outcome.out, "NEW is 0.80 times BASE")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "is not excluded: more runs would tell")) << outcome.out;
  const std::string steady = write("steady", runs_around(1'000, 200));
  EXPECT_FALSE(contains(run({"gate", steady, steady}).out, "not excluded"));
}

TEST_F(GateCommand, too_few_runs_are_invalid_however_much_they_differ) {
  const Outcome outcome =
      run({"gate", write("base", runs_around(1'000, 3)), write("new", runs_around(100, 3))});
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.error.starts_with("evpool-bench: gate: too few runs")) << outcome.error;
  EXPECT_EQ(
      run({"gate", write("base", runs_around(1'000, 3)), write("new", runs_around(100, 5))}).status,
      1);
}

TEST_F(GateCommand, too_few_runs_of_commands_are_refused_before_they_run) {
  const std::string command = printing('A', result_with(1'000));
  EXPECT_EQ(run({"gate", "--ab", command, command, "--runs", "3"}).status, 3);
  EXPECT_FALSE(std::filesystem::exists(path("order")));
}

TEST_F(GateCommand, runs_commands_too) {
  const std::string fast = printing('A', result_with(1'000));
  const std::string slow = printing('B', result_with(500));
  EXPECT_EQ(run({"gate", "--ab", fast, slow, "--runs", "4"}).status, 1);
  EXPECT_EQ(read("order"), "ABBAABBA");
  EXPECT_EQ(run({"gate", "--ab", slow, fast, "--runs", "4"}).status, 0);
}

TEST_F(GateCommand, an_invalid_run_a_failed_command_and_an_unreadable_file_are_no_regression) {
  const std::string good = write("good", runs_around(1'000));
  std::vector<json> invalid = runs_around(1'000);
  invalid[0]["valid"] = false;
  EXPECT_EQ(run({"gate", good, write("invalid", invalid)}).status, 3);
  const Outcome failed = run({"gate", "--ab", "exit 1", "exit 1"});
  EXPECT_EQ(failed.status, 3);
  EXPECT_TRUE(contains(failed.error, "failed with status 1")) << failed.error;
  EXPECT_EQ(run({"gate", good, path("missing")}).status, 2);
  EXPECT_EQ(run({"gate", good, write("garbage", std::string("garbage"))}).status, 2);
}

TEST_F(GateCommand, prints_its_outcome_as_json_when_asked) {
  const Outcome outcome = run({"gate", write("base", runs_around(1'000)),
                               write("new", runs_around(800)), "--min-effect", "10%", "--json"});
  EXPECT_EQ(outcome.status, 1);
  const json object = json::parse(outcome.out);
  EXPECT_EQ(object["command"], "gate");
  EXPECT_EQ(object["outcome"], "regression");
  EXPECT_EQ(object["min_effect"], 0.1);
  const Outcome pass = run({"gate", path("new"), path("base"), "--json"});
  EXPECT_EQ(json::parse(pass.out)["outcome"], "pass");
}

}  // namespace
}  // namespace evpool::bench
