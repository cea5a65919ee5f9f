// The commands that start evpoold again and again measure what they say; how much is not asked
// here.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/integration/program.h"

namespace evpool {
namespace {

using Json = nlohmann::json;

// A program that reads it knows what it has, and with what that was measured.
void expect_to_say_what_it_is(const Json& object, const std::string& command) {
  EXPECT_EQ(object["schema"], "evpool-bench-" + command + "/1");
  EXPECT_EQ(object["command"], command);
  EXPECT_FALSE(object["provenance"]["argv"].empty());
  EXPECT_FALSE(object["provenance"]["kernel"].empty());
}

// Its one JSON object. `allowed`: a status beside 0, of runs that this machine may be too slow for.
Json measured(std::vector<std::string> arguments, int allowed = 0) {
  const std::string name = arguments.front();
  arguments.insert(arguments.begin(), built_program("evpool-bench"));
  arguments.insert(arguments.end(), {"--rounds", "2", "--json"});
  const Finished command = run(arguments);
  EXPECT_TRUE(command.status == 0 || command.status == allowed) << command.errors;
  const Json object = Json::parse(command.output, nullptr, false);
  expect_to_say_what_it_is(object, name);
  return object;
}

TEST(WorkersCommand, compares_each_number_with_the_best) {
  const Json object =
      measured({"workers", "--workers", "1", "3", "--row", "tcp-2x2", "--duration", "50ms"});
  ASSERT_EQ(object["rows"].size(), 1U);
  const Json& cells = object["rows"][0]["cells"];
  ASSERT_EQ(cells.size(), 2U);
  EXPECT_EQ(cells[1]["workers"], 3);
  bool one_is_the_best = false;
  for (const Json& cell : cells) {
    EXPECT_EQ(cell["jobs_per_second"]["rounds"].size(), 2U);
    EXPECT_GT(cell["jobs_per_second"]["least"], 0);
    EXPECT_GT(cell["to_the_best"]["median"], 0);
    one_is_the_best |=
        cell["workers"] == object["rows"][0]["best"] && cell["to_the_best"]["median"] == 1;
  }
  EXPECT_TRUE(one_is_the_best);
}

TEST(ConnectionsCommand, compares_many_idle_ones_with_few_busy_ones) {
  const Json object =
      measured({"connections", "--connections", "400", "--active", "25%", "--duration", "50ms"});
  EXPECT_EQ(object["active"], 100);
  EXPECT_EQ(object["few"], "tcp-100x1");
  EXPECT_EQ(object["many_to_few"]["rounds"].size(), 2U);
  EXPECT_GT(object["many_jobs_per_second"]["least"], 0);
  EXPECT_GT(object["bytes_per_idle_connection"]["median"], 0);
}

TEST(MixedCommand, measures_short_jobs_beside_a_queue_on_paper) {
  // Low, so that a machine busy with other tests can do it.
  const Json object = measured(
      {"mixed", "--workers", "1", "--load", "20%", "--long-job", "sleep", "--duration", "500ms"},
      3);
  EXPECT_GE(object["short_service_us"]["least"], 10);
  EXPECT_GE(object["long_service_us"]["least"], 5'000);
  EXPECT_GT(object["jobs_per_second"]["least"], 0);
  for (const char* const percentile : {"p50", "p99", "p99.9"}) {
    const Json& row = object["short_jobs"][percentile];
    EXPECT_GT(row["measured_us"]["least"], 10) << percentile;
    EXPECT_GT(row["simulated_us"]["least"], 10) << percentile;
    EXPECT_EQ(row["ratio"]["rounds"].size(), 2U) << percentile;
  }
}

TEST(MgkCommand, says_what_theory_says) {
  // One worker, equal services of 100 us, 80 % load: 100 us and 200 us of waiting on average.
  const Finished mgk = run({built_program("evpool-bench"), "mgk", "--workers", "1", "--load", "80%",
                            "--kind", "1:100", "--jobs", "1000000", "--json"});
  ASSERT_EQ(mgk.status, 0) << mgk.errors;
  const Json object = Json::parse(mgk.output);
  expect_to_say_what_it_is(object, "mgk");
  ASSERT_EQ(object["kinds"].size(), 1U);
  EXPECT_NEAR(object["kinds"][0]["mean_us"], 300, 15);
}

TEST(MgkCommand, refuses_what_makes_no_sense) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--load", "0"},
                                             {"--kind", "1"},
                                             {"--kind", "0:1"},
                                             {"--kind", "1:x"},
                                             {"--jobs", "0"}}) {
    std::vector<std::string> command = {built_program("evpool-bench"), "mgk"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    EXPECT_EQ(run(command).status, 2) << arguments[0] << ' ' << arguments[1];
  }
}

TEST(DoctorCommand, says_its_verdict_first) {
  const Finished doctor = run({built_program("evpool-bench"), "doctor"});
  EXPECT_TRUE(doctor.output.starts_with("verdict: ")) << doctor.output;
}

TEST(SelfCommand, says_its_verdict_first) {
  const std::vector<std::string> command = {
      built_program("evpool-bench"), "self", "--rounds", "1", "--duration", "20ms"};
  const std::string text = run(command).output;
  EXPECT_TRUE(text.starts_with("the generator ") || text.starts_with("INVALID: ")) << text;
}

TEST(DoctorCommand, says_what_it_is) {
  const Finished doctor = run({built_program("evpool-bench"), "doctor", "--json"});
  const Json object = Json::parse(doctor.output);
  expect_to_say_what_it_is(object, "doctor");
  EXPECT_FALSE(object["provenance"].contains("seed"));
  EXPECT_FALSE(object["checks"].empty());
}

TEST(PeersCommand, measures_evpoold_beside_whatever_is_installed) {
  const Json object =
      measured({"peers", "--row", "tcp-2x2", "udp-1x4", "udp-1x4-offload", "--duration", "50ms"});
  ASSERT_EQ(object["rows"].size(), 3U);
  for (const Json& row : object["rows"]) {
    const Json& evpool = row["servers"]["evpool"];
    EXPECT_EQ(evpool["jobs_per_second"]["rounds"].size(), 2U) << row["row"];
    EXPECT_GT(evpool["server_cpu_us_per_job"]["median"], 0) << row["row"];
    EXPECT_GT(evpool["p50_us"]["median"], 0) << row["row"];
    const Json& memcached = row["servers"]["memcached get"];
    if (memcached["installed"].get<bool>()) {
      EXPECT_GT(memcached["evpool_ratio"]["median"], 0) << row["row"];
      EXPECT_GT(memcached["evpool_jobs_per_cpu_second_ratio"]["median"], 0) << row["row"];
    }
  }
  // redis has no UDP.
  EXPECT_TRUE(object["rows"][1]["servers"]["redis ECHO"]["jobs_per_second"].is_null());
}

}  // namespace
}  // namespace evpool
