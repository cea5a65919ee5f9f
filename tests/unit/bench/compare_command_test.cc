// compare, from the command line to the exit status, and what gate has in common with it.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/unit/bench/compare_testing.h"

namespace evpool::bench {
namespace {

// --- compare: what it says ----------------------------------------------------------------------

TEST_F(CompareCommand, says_first_by_how_much_they_differ) {
  const std::string a = write("a", runs_around(1'000));
  const Outcome outcome = run({"compare", a, write("b", runs_around(1'230))});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out.starts_with("B is 1.23 times A (95 % 1.")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out.substr(0, outcome.out.find('\n')), ", p < 0.0001"))
      << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "\njobs_per_second, higher is better\n")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "  A  median 1,000 (95 % 9")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "  B  median 1,230 (95 % 1,2")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, " of 10 runs: " + a + "\n")) << outcome.out;
  EXPECT_FALSE(contains(outcome.out, "too few"));
  EXPECT_EQ(outcome.error, "");
}

TEST_F(CompareCommand, says_first_that_no_difference_is_seen) {
  const std::string file = write("a", runs_around(1'000));
  const Outcome outcome = run({"compare", file, file});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out.starts_with("no difference seen: B is 1.00 times A (95 % 0.9"))
      << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "p = 1\n")) << outcome.out;
}

TEST_F(CompareCommand, a_small_difference_is_not_rounded_away) {
  std::vector<json> a;
  std::vector<json> b;
  for (int run = 0; run < 10; ++run) {
    a.push_back(result_with(1'000'000 + run));
    b.push_back(result_with(1'000'500 + run));
  }
  const Outcome outcome = run({"compare", write("a", a), write("b", b)});
  EXPECT_TRUE(outcome.out.starts_with("B is 1.0005 times A (95 % 1.0005 to 1.0005)"))
      << outcome.out;
}

TEST_F(CompareCommand, says_that_three_runs_each_are_too_few) {
  const std::string a = write("a", runs_around(1'000, 3));
  const std::string b = write("b", runs_around(2'000, 3));
  const Outcome outcome = run({"compare", a, b});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out.starts_with("no difference seen: B is 2.00 times A")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "with 3 and 3, p is at least 0.1 (make 4 of each"))
      << outcome.out;
  const Outcome four =
      run({"compare", write("a", runs_around(1'000, 4)), write("b", runs_around(2'000, 4))});
  EXPECT_TRUE(four.out.starts_with("B is 2.00 times A")) << four.out;
  EXPECT_FALSE(contains(four.out, "too few")) << four.out;
}

TEST_F(CompareCommand, a_ratio_to_zero_is_said_in_words) {
  std::vector<json> zeros(6, result_with(1'000));
  std::vector<json> some = zeros;
  for (json& result : zeros) result["account"]["lost"] = 0;
  for (json& result : some) result["account"]["lost"] = 7;
  const std::vector<std::string> command = {"compare", write("a", zeros), write("b", some),
                                            "--metric", "account.lost"};
  const Outcome outcome = run(command);
  EXPECT_TRUE(outcome.out.starts_with("B is 7 where A is 0, p = 0.00")) << outcome.out;
  std::vector<std::string> with_json = command;
  with_json.emplace_back("--json");
  EXPECT_TRUE(json::parse(run(with_json).out)["ratio"].is_null());
}

TEST_F(CompareCommand, prints_one_json_object_when_asked) {
  const Outcome outcome =
      run({"compare", write("a", runs_around(1'000)), write("b", runs_around(800, 9)), "--json"});
  EXPECT_EQ(outcome.status, 0);
  const json object = json::parse(outcome.out);
  EXPECT_EQ(object["schema"], "evpool-bench-comparison/1");
  EXPECT_EQ(object["command"], "compare");
  EXPECT_EQ(object["metric"], "jobs_per_second");
  EXPECT_EQ(object["better"], "higher");
  EXPECT_EQ(object["verdict"], "a_higher");
  EXPECT_NEAR(object["ratio"].get<double>(), 0.8, 0.001);
  EXPECT_LT(object["ratio_interval"][0], object["ratio"]);
  EXPECT_GT(object["ratio_interval"][1], object["ratio"]);
  EXPECT_NEAR(object["p_value"].get<double>(), 2.0 / 92'378, 1e-9);
  EXPECT_EQ(object["enough_runs"], true);
  EXPECT_EQ(object["a"]["runs"], 10);
  EXPECT_EQ(object["b"]["runs"], 9);
  EXPECT_EQ(object["b"]["values"].size(), 9U);
  EXPECT_EQ(object["b"]["source"], path("b"));
  EXPECT_FALSE(object["provenance"]["kernel"].empty());
}

// --- Metrics ------------------------------------------------------------------------------------

TEST_F(CompareCommand, a_metric_is_a_path_into_the_result) {
  const std::string a = write("a", runs_around(1'000));
  const std::string b = write("b", runs_around(2'000));
  const auto median_of = [&](const std::string& metric) {
    const Outcome outcome = run({"compare", a, b, "--metric", metric, "--json"});
    return json::parse(outcome.out)["a"]["median"].get<double>();
  };
  EXPECT_NEAR(median_of("latency_us.p50"), 1'000, 5);
  EXPECT_NEAR(median_of("latency_us.p99"), 2'000, 10);
  EXPECT_EQ(median_of("latency_us.p99.9"), 500) << "a name with a dot in it";
  EXPECT_EQ(median_of("generator.cpu_us_per_job"), 1.5);
  EXPECT_EQ(median_of("server.wakeups"), 12);
}

TEST_F(CompareCommand, the_longest_name_is_taken_first_and_shorter_ones_after_it) {
  json result = result_with(1'000);
  result["x.y"] = {{"z", 1}};
  result["x"] = {{"y", {{"z", 2}, {"w", 3}}}, {"y.v", 4}};
  const std::string file = write("a", std::vector<json>(4, result));
  const auto median_of = [&](const std::string& metric) {
    const Outcome outcome = run({"compare", file, file, "--metric", metric, "--json"});
    return json::parse(outcome.out)["a"]["median"].get<double>();
  };
  EXPECT_EQ(median_of("x.y.z"), 1);
  EXPECT_EQ(median_of("x.y.w"), 3) << "x.y is there, but has no w";
  EXPECT_EQ(median_of("x.y.v"), 4);
}

TEST_F(CompareCommand, lower_is_better_for_durations_and_cpu_time) {
  const std::string file = write("a", runs_around(1'000));
  const auto better = [&](const std::string& metric) {
    const Outcome outcome = run({"compare", file, file, "--metric", metric, "--json"});
    return json::parse(outcome.out)["better"].get<std::string>();
  };
  EXPECT_EQ(better("latency_us.p99"), "lower");
  EXPECT_EQ(better("generator.cpu_us_per_job"), "lower");
  EXPECT_EQ(better("jobs_per_second"), "higher");
  EXPECT_EQ(better("server.wakeups"), "unknown");
}

TEST_F(CompareCommand, an_unknown_metric_lists_those_that_there_are) {
  const std::string file = write("a", runs_around(1'000));
  const Outcome outcome = run({"compare", file, file, "--metric", "latency_us.p98"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.error.starts_with("evpool-bench: --metric latency_us.p98: not in "))
      << outcome.error;
  for (const char* known : {"jobs_per_second", "latency_us.p99.9", "generator.cpu_us_per_job",
                            "options.connections", "server.wakeups"}) {
    EXPECT_TRUE(contains(outcome.error, known)) << known << " in " << outcome.error;
  }
  EXPECT_FALSE(contains(outcome.error, "series")) << outcome.error;
  EXPECT_TRUE(contains(outcome.error, "did you mean 'latency_us.p9")) << outcome.error;
  for (const char* no_number :
       {"latency_us", "command", "valid", "series", "", ".", "jobs_per_second."}) {
    EXPECT_EQ(run({"compare", file, file, "--metric", no_number}).status, 2) << no_number;
  }
}

TEST_F(CompareCommand, a_run_without_the_metric_is_named) {
  std::vector<json> b = runs_around(1'000);
  b[6].erase("server");
  const Outcome outcome =
      run({"compare", write("a", runs_around(1'000)), write("b", b), "--metric", "server.wakeups"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_TRUE(contains(outcome.error, path("b") + ", run 7")) << outcome.error;
}

// --- What is read -------------------------------------------------------------------------------

TEST_F(CompareCommand, reads_one_result_or_an_array_or_one_after_the_other) {
  const auto runs_in = [this](const std::string& text) {
    const std::string a = write("a", text);
    const Outcome outcome = run({"compare", a, write("b", runs_around(1'000)), "--json"});
    EXPECT_EQ(outcome.error, "");
    return json::parse(outcome.out)["a"]["runs"].get<int>();
  };
  const std::string one = result_with(1'000).dump(2);
  EXPECT_EQ(runs_in(one), 1);
  EXPECT_EQ(runs_in("\n " + one + "\n\n"), 1);
  EXPECT_EQ(runs_in("[" + one + "," + one + "]"), 2);
  EXPECT_EQ(runs_in(one + one + one), 3);
  EXPECT_EQ(runs_in(one + "\n" + one + "\n" + one + "\n" + one + "\n"), 4);
  EXPECT_EQ(runs_in("[" + one + "," + one + "]\n" + one), 3);
}

TEST_F(CompareCommand, what_is_no_result_is_refused_with_the_reason) {
  struct Row {
    std::string text;
    std::string reason;
  };
  const std::string one = result_with(1'000).dump();
  json other_schema = result_with(1'000);
  other_schema["schema"] = "evpool-bench-result/2";
  json no_validity = result_with(1'000);
  no_validity.erase("valid");
  for (const Row& row : std::vector<Row>{
           {"", "there is no result in it"},
           {" \n", "there is no result in it"},
           {"[]", "there is no result in it"},
           {"garbage", "not JSON after 0 results: "},
           {one + one.substr(0, one.size() / 2), "not JSON after 1 results: "},
           {one + "," + one, "not JSON after 1 results: "},
           {"{\"schema\": 1e999}", "not JSON after 0 results: "},
           {"{}", "run 1: not a result of schema evpool-bench-result/1"},
           {"[" + one + ", 5]", "run 2: not a result"},
           {"[[" + one + "]]", "run 1: not a result"},
           {other_schema.dump(), "run 1: not a result"},
           {no_validity.dump(), "run 1: not a result"},
           {std::string(10'000, '['), "not JSON"},
       }) {
    SCOPED_TRACE(row.text.substr(0, 100));
    const std::string bad = write("bad", row.text);
    const Outcome outcome = run({"compare", write("a", runs_around(1'000)), bad});
    EXPECT_EQ(outcome.status, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(outcome.error.starts_with("evpool-bench: " + bad)) << outcome.error;
    EXPECT_TRUE(contains(outcome.error, row.reason)) << outcome.error;
    EXPECT_FALSE(contains(outcome.error, "json.exception")) << outcome.error;
  }
}

TEST_F(CompareCommand, a_file_that_cannot_be_read_is_named) {
  const std::string good = write("a", runs_around(1'000));
  const Outcome missing = run({"compare", good, path("missing")});
  EXPECT_EQ(missing.status, 2);
  EXPECT_TRUE(missing.error.starts_with("evpool-bench: " + path("missing") +
                                        ": cannot open: No such file or directory ("))
      << missing.error;
  const Outcome folder = run({"compare", path(""), good});
  EXPECT_EQ(folder.status, 2);
  EXPECT_TRUE(contains(folder.error, "cannot read: Is a directory")) << folder.error;
}

TEST_F(CompareCommand, an_invalid_run_is_refused_with_its_reasons) {
  std::vector<json> b = runs_around(1'000);
  b[2]["valid"] = false;
  b[2]["invalid"] = {"12 requests were lost", "the generator was late"};
  const Outcome outcome = run({"compare", write("a", runs_around(1'000)), write("b", b)});
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.error,
            "evpool-bench: " + path("b") +
                ", run 3: the run is invalid: 12 requests were lost; the generator was late "
                "(repeat it)\n");
}

TEST_F(CompareCommand, a_run_with_wrong_replies_is_refused) {
  std::vector<json> b = runs_around(1'000);
  for (json& result : b) result["account"]["wrong"] = 0;
  const std::string a = write("a", runs_around(1'000));
  EXPECT_EQ(run({"compare", a, write("right", b)}).status, 0);
  b[6]["account"]["wrong"] = 3;
  for (const char* command : {"compare", "gate"}) {
    const Outcome outcome = run({command, a, write("b", b)});
    EXPECT_EQ(outcome.status, 3);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(contains(outcome.error, path("b") + ", run 7: 3 replies were wrong"))
        << outcome.error;
  }
}

// --- Like with like -----------------------------------------------------------------------------

TEST_F(CompareCommand, unlike_runs_are_not_one_sample) {
  std::vector<json> sweep = runs_around(1'000);
  for (json& result : sweep) result["options"]["rate"] = 100;
  sweep[4]["options"]["rate"] = 200;
  const std::string good = write("a", runs_around(1'000));
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"compare", good, write("sweep", sweep)}, {"gate", path("sweep"), good}}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.error, "evpool-bench: " + path("sweep") +
                                 ", run 5: not made as run 1: options.rate is 100 in run 1 and "
                                 "200 in this one (give runs that were all made in the same "
                                 "way)\n");
  }
}

TEST_F(CompareCommand, a_command_that_makes_another_run_each_time_is_refused) {
  json other = result_with(1'000);
  other["provenance"]["kernel"] = "Linux 7";
  const std::string one = write("one", result_with(1'000).dump());
  const std::string two = write("two", other.dump());
  const std::string changing = "if [ -e '" + path("order") + "' ]; then cat '" + two +
                               "'; else : > '" + path("order") + "'; cat '" + one + "'; fi";
  const Outcome outcome = run({"compare", "--ab", changing, "cat '" + one + "'", "--runs", "4"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_TRUE(contains(outcome.error, "command A, run 2 (")) << outcome.error;
  EXPECT_TRUE(contains(outcome.error, "provenance.kernel is none in run 1 and Linux 7 in this one"))
      << outcome.error;
}

TEST_F(CompareCommand, what_the_two_were_measured_under_comes_first_where_it_differs) {
  std::vector<json> a = runs_around(1'000);
  std::vector<json> b = runs_around(2'000);
  for (json& result : a) {
    result["options"]["transport"] = "tcp";
    result["provenance"] = {{"cpu", "one"}, {"kernel", "Linux 6"}};
  }
  for (json& result : b) {
    result["options"]["transport"] = "udp";
    result["options"]["mix"] = json::array({{{"size", {{"bytes", 1'000}}}}});
    result["provenance"] = {{"cpu", "other"}, {"kernel", "Linux 6"}};
  }
  const std::string first = write("a", a);
  const std::string second = write("b", b);
  const std::string listed =
      "A and B were not measured in the same way, and what follows may come of that:\n"
      "  options.mix.0.size.bytes is none in A and 1000 in B\n"
      "  options.transport is tcp in A and udp in B\n"
      "  provenance.cpu is one in A and other in B\n";
  EXPECT_TRUE(run({"compare", first, second}).out.starts_with(listed + "B is 2.00 times A"))
      << run({"compare", first, second}).out;
  const Outcome gate = run({"gate", first, second});
  EXPECT_TRUE(contains(gate.out, "\n  options.transport is tcp in BASE and udp in NEW\n"));
  EXPECT_TRUE(contains(gate.out, "\npass, no regression")) << gate.out;
  const json differences =
      json::parse(run({"compare", first, second, "--json"}).out)["differences"];
  EXPECT_EQ(differences,
            json::array({{{"name", "options.mix.0.size.bytes"}, {"a", nullptr}, {"b", 1'000}},
                         {{"name", "options.transport"}, {"a", "tcp"}, {"b", "udp"}},
                         {{"name", "provenance.cpu"}, {"a", "one"}, {"b", "other"}}}));
  EXPECT_EQ(json::parse(run({"compare", first, first, "--json"}).out)["differences"],
            json::array());
}

TEST_F(CompareCommand, server_commit_and_seed_may_differ_in_a_sample_and_between_both) {
  std::vector<json> a = runs_around(1'000);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i]["options"]["server"] = "127.0.0.1:" + std::to_string(i);
    a[i]["options"]["seed"] = i;
    for (const char* fact : {"date", "argv", "seed", "commit", "compiler", "flags"}) {
      a[i]["provenance"][fact] = std::to_string(i);
    }
  }
  const Outcome outcome = run({"compare", write("a", a), write("b", runs_around(1'000))});
  EXPECT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_TRUE(outcome.out.starts_with("no difference seen")) << outcome.out;
}

// --- Commands in turn ---------------------------------------------------------------------------

TEST_F(CompareCommand, commands_run_in_turn_and_alternate_who_is_first) {
  const std::string a = printing('A', result_with(1'000));
  const std::string b = printing('B', result_with(2'000));
  const Outcome outcome = run({"compare", "--ab", a, b, "--runs", "5", "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_EQ(read("order"), "ABBAABBAAB");
  const json object = json::parse(outcome.out);
  EXPECT_EQ(object["a"]["values"], std::vector<double>(5, 1'000));
  EXPECT_EQ(object["b"]["values"], std::vector<double>(5, 2'000));
  EXPECT_EQ(object["a"]["source"], a);
}

TEST_F(CompareCommand, commands_run_ten_times_each_unless_told) {
  const Outcome outcome = run(
      {"compare", "--ab", printing('A', result_with(1'000)), printing('B', result_with(1'000))});
  EXPECT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_EQ(read("order").size(), 20U);
  EXPECT_TRUE(outcome.out.starts_with("no difference seen")) << outcome.out;
}

TEST_F(CompareCommand, a_long_result_is_read_to_its_end) {
  json result = result_with(1'000);
  result["series"] = std::string(500'000, 'x');  // a pipe holds 64 KiB
  const std::string command = printing('A', result);
  const Outcome outcome = run({"compare", "--ab", command, command, "--runs", "1", "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.error;
}

TEST_F(CompareCommand, a_command_that_fails_ends_it_with_its_status_and_its_words) {
  const std::string good = printing('A', result_with(1'000));
  const Outcome outcome = run({"compare", "--ab", good, "echo no server there >&2; exit 7"});
  EXPECT_EQ(outcome.status, 7);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(
      outcome.error.starts_with("no server there\nevpool-bench: command B, run 1 ('echo no "
                                "server there >&2; exit 7'): failed with status 7 "))
      << outcome.error;
  EXPECT_EQ(read("order"), "A") << "nothing runs after it";
  EXPECT_EQ(run({"compare", "--ab", "kill -TERM $$", good}).status, 128 + 15);
  EXPECT_EQ(run({"compare", "--ab", "/no/such/program", good}).status, 127);
}

TEST_F(CompareCommand, a_command_that_prints_no_single_result_is_refused) {
  const std::string good = printing('A', result_with(1'000));
  const Outcome none = run({"compare", "--ab", good, "true"});
  EXPECT_EQ(none.status, 2);
  EXPECT_TRUE(contains(none.error, "command B, run 1 ('true'): there is no result in it"))
      << none.error;
  const Outcome two = run({"compare", "--ab", good + ";" + good, good});
  EXPECT_EQ(two.status, 2);
  EXPECT_TRUE(contains(two.error, "printed 2 results")) << two.error;
  const Outcome words = run({"compare", "--ab", "echo 1000 jobs per second", good});
  EXPECT_EQ(words.status, 2);
  EXPECT_TRUE(contains(words.error, "not JSON after ") ||
              contains(words.error, "not a result of schema"))
      << words.error;
}

TEST_F(CompareCommand, an_invalid_run_of_a_command_ends_it) {
  json invalid = result_with(1'000);
  invalid["valid"] = false;
  invalid["invalid"] = {"interrupted"};
  const Outcome outcome = run(
      {"compare", "--ab", printing('A', result_with(1'000)), printing('B', invalid) + "; exit 3"});
  EXPECT_EQ(outcome.status, 3);
  EXPECT_TRUE(contains(outcome.error, "command B, run 1")) << outcome.error;
  EXPECT_TRUE(contains(outcome.error, "the run is invalid: interrupted")) << outcome.error;
  EXPECT_EQ(read("order"), "AB");
}

TEST_F(CompareCommand, a_command_that_says_it_failed_is_not_believed) {
  const std::string good = printing('A', result_with(1'000));
  const Outcome outcome = run({"compare", "--ab", good, good + "; exit 1"});
  EXPECT_EQ(outcome.status, 3);
  EXPECT_TRUE(contains(outcome.error, "printed a result but ended with status 1")) << outcome.error;
}

// --- The command line ---------------------------------------------------------------------------

TEST_F(CompareCommand, takes_two_files_or_two_commands) {
  for (const char* command : {"compare", "gate"}) {
    EXPECT_EQ(usage_error({command, "a", "b"}), "");
    EXPECT_EQ(usage_error({command, "--ab", "a", "b"}), "");
    EXPECT_EQ(usage_error({command, "--ab", "a", "b", "--runs", "20"}), "");
    for (const auto& wrong : std::vector<std::vector<std::string>>{
             {command},
             {command, "a"},
             {command, "a", "b", "c"},
             {command, "a", "b", "--ab", "c", "d"},
             {command, "a", "--ab", "c", "d"},
             {command, "--ab", "c"},
             {command, "a", "b", "--runs", "5"},
             {command, "--ab", "a", "b", "--runs", "0"},
             {command, "--ab", "a", "b", "--runs", "1001"},
             {command, "--ab", "a", "b", "--runs", "-1"},
         }) {
      EXPECT_NE(usage_error(wrong), "") << testing::PrintToString(wrong);
    }
  }
  EXPECT_TRUE(contains(usage_error({"compare", "a"}), "give two files, A.json and B.json"));
  EXPECT_TRUE(contains(usage_error({"gate", "a"}), "give two files, BASE.json and NEW.json"));
}

}  // namespace
}  // namespace evpool::bench
