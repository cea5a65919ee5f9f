// What people and programs read of a result: text, JSON and CSV.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "bench/report_csv.h"
#include "bench/report_html.h"
#include "bench/report_json.h"
#include "bench/report_text.h"
#include "tests/unit/bench/report_testing.h"

namespace evpool::bench {
namespace {

std::string line_starting(const std::string& text, std::string_view start) {
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with(start)) return line;
  }
  return "";
}

std::vector<std::uint64_t> numbers_in(const std::string& line) {
  const std::regex number(R"(\b\d+\b)");
  std::vector<std::uint64_t> numbers;
  for (std::sregex_iterator match(line.begin(), line.end(), number), end; match != end; ++match) {
    numbers.push_back(std::stoull(match->str()));
  }
  return numbers;
}

// The first number of the line is the sum of the others.
void expect_sum(const std::string& line) {
  const std::vector<std::uint64_t> numbers = numbers_in(line);
  ASSERT_GE(numbers.size(), 3U) << line;
  EXPECT_EQ(numbers[0], std::accumulate(numbers.begin() + 1, numbers.end(), std::uint64_t{0}))
      << line;
}

// --- Text ---

TEST(ReportText, an_invalid_run_says_so_first) {
  LoadResult result = open_loop_result();
  EXPECT_FALSE(contains(report_text(result), "INVALID"));
  result.invalid = {"the generator was late", "replies were wrong"};
  EXPECT_EQ(lines_of(report_text(result))[0],
            "INVALID: the generator was late; replies were wrong");
}

TEST(ReportText, wrong_replies_are_told_before_anything_else) {
  LoadResult result = open_loop_result();
  EXPECT_FALSE(contains(report_text(result), "WRONG"));
  result.account.wrong = 3;
  EXPECT_TRUE(report_text(result).starts_with("WRONG: 3 of 1003 replies were not what the job"));
  result.invalid = {"why"};
  EXPECT_TRUE(lines_of(report_text(result))[0].starts_with("WRONG: "));
  EXPECT_EQ(lines_of(report_text(result))[1], "INVALID: why");
}

TEST(ReportText, the_rate_line_names_the_load) {
  LoadResult result = open_loop_result();
  EXPECT_EQ(lines_of(report_text(result))[0],
            "500 jobs/s  tcp to 127.0.0.1:6666, open loop at 1,000/s Poisson, at most 5 x 16 in "
            "flight, 32 bytes of upper, 2.00 s");
  result.options.rate.reset();
  result.options.transport = Transport::udp;
  MixEntry echo{.job = "echo", .weight = 3, .size = {}, .payload = "hello"};
  MixEntry hash{.job = "hash", .weight = 1, .size = {}, .payload = {}};
  hash.size.kind = SizeDistribution::Kind::uniform;
  hash.size.least = 1;
  hash.size.most = 900;
  result.options.mix = {echo, hash};
  EXPECT_EQ(lines_of(report_text(result))[0],
            "500 jobs/s  udp to 127.0.0.1:6666, closed loop, 5 x 16 in flight, 75 % 5 bytes of "
            "echo, 25 % 1 to 900 bytes of hash, 2.00 s");
}

TEST(ReportText, a_rate_has_no_more_digits_than_can_be_read) {
  LoadResult result = open_loop_result();
  result.options.rate = 79'621.43411;
  result.seconds = 0.0123;
  const std::string text = report_text(result);
  EXPECT_TRUE(contains(text, "open loop at 79,621/s ")) << text;
  EXPECT_TRUE(text.starts_with("81,301 jobs/s ")) << text;
  EXPECT_TRUE(contains(report_html(result, {}), "open loop at 79,621/s "));
}

TEST(ReportText, the_line_to_take_away_has_the_verdict_the_rate_and_the_latencies) {
  LoadResult result = open_loop_result();
  EXPECT_TRUE(essential_line(result).starts_with("500 jobs/s, p50 ")) << essential_line(result);
  EXPECT_TRUE(essential_line(result).ends_with(", max 1,000,000 us")) << essential_line(result);
  result.invalid = {"why"};
  EXPECT_TRUE(essential_line(result).starts_with("INVALID: 500 jobs/s"));
  result.account.wrong = 1;
  EXPECT_TRUE(essential_line(result).starts_with("WRONG: INVALID: 500 jobs/s"));
  EXPECT_EQ(essential_line({}), "0 jobs/s");
}

TEST(ReportText, the_sums_of_any_account_add_up_as_printed) {
  std::mt19937_64 random(11);
  for (int run = 0; run < 200; ++run) {
    LoadResult result;
    Account& account = result.account;
    const auto some = [&] { return random() % 3 == 0 ? 0 : random() % 1'000'000; };
    for (std::uint64_t* field :
         {&account.skipped, &account.ok, &account.wrong, &account.lost, &account.unresolved}) {
      *field = some();
    }
    for (std::size_t i = 1; i < kStatusCount; ++i) account.refused[i] = some();
    account.sent =
        account.ok + account.all_refused() + account.wrong + account.lost + account.unresolved;
    account.scheduled = account.sent + account.skipped;
    const std::string text = report_text(result);
    expect_sum(line_starting(text, "scheduled "));
    expect_sum(line_starting(text, "sent "));
    EXPECT_FALSE(contains(text, "NOT BALANCE"));
  }
}

TEST(ReportText, refusals_are_told_by_their_status) {
  LoadResult result = open_loop_result();
  EXPECT_EQ(line_starting(report_text(result), "sent "),
            "sent 1030 = ok 1000 + busy 20 + expired 3 + wrong 0 + lost 7 + unresolved 0");
  result.account.refused = {};
  EXPECT_TRUE(contains(report_text(result), "ok 1000 + refused 0 + wrong 0"));
  EXPECT_TRUE(contains(report_text(result), "DOES NOT BALANCE"));
}

TEST(ReportText, an_open_loop_tells_latency_service_and_lag_apart) {
  LoadResult result = open_loop_result();
  const std::string text = report_text(result);
  EXPECT_TRUE(contains(line_starting(text, "latency "), " 1000000.0"));
  EXPECT_TRUE(contains(line_starting(text, "service "), " 1000.0"));
  EXPECT_TRUE(contains(line_starting(text, "generator lag "), " 0.5"));
  result.options.rate.reset();
  EXPECT_EQ(line_starting(report_text(result), "service "), "");
}

TEST(ReportText, the_generators_cost_is_told_a_request) {
  LoadResult result = open_loop_result();
  EXPECT_EQ(line_starting(report_text(result), "generator:"),
            "generator: 2.00 us of CPU and 1.000 system calls a request");
  result.options.transport = Transport::udp;
  result.offload_used = true;
  EXPECT_TRUE(contains(report_text(result), "a request, segmentation offload used\n"));
}

TEST(ReportText, what_happened_seldom_is_told_only_then) {
  LoadResult result = open_loop_result();
  const std::string quiet = report_text(result);
  for (const std::string_view part : {"held back", "interrupted", "impaired", "reconnects"}) {
    EXPECT_FALSE(contains(quiet, part)) << part;
  }
  EXPECT_TRUE(contains(quiet, "at the server 4"));
  result.held_back = 3;
  result.interrupted = true;
  result.options.impairment.drop = 0.1;
  result.account.impaired_drops = 77;
  result.account.reconnects = 12;
  const std::string text = report_text(result);
  EXPECT_TRUE(contains(line_starting(text, "held back 3"), "--in-flight"));
  EXPECT_TRUE(contains(text, "interrupted"));
  EXPECT_TRUE(contains(text, "impaired on purpose: dropped 77,"));
  EXPECT_TRUE(contains(text, "reconnects 12"));
}

TEST(ReportText, losses_without_an_address_are_told_of_datagrams) {
  LoadResult result = open_loop_result();
  result.account.lost = 100;
  result.account.kernel_drops = 3;
  EXPECT_FALSE(contains(report_text(result), "address")) << "of a stream there are none";
  result.options.transport = Transport::udp;
  // 4 were dropped at the server.
  EXPECT_TRUE(contains(report_text(result), "dropped by the kernel here 3, at the server 4\n"));
  EXPECT_TRUE(contains(report_text(result), "of the lost 100, without an address 93: "));
  result.account.late = 10;
  result.account.impaired_drops = 20;
  EXPECT_EQ(lost_without_address(result), "63");
  result.account.late = 1'000;  // of the warm-up's, too
  EXPECT_EQ(lost_without_address(result), "0");
}

TEST(ReportText, with_offload_a_drop_is_a_packet_of_many_datagrams) {
  LoadResult result = open_loop_result();
  result.options.transport = Transport::udp;
  result.offload_used = true;
  result.account.lost = 500;
  result.account.kernel_drops = 1;
  EXPECT_TRUE(contains(
      report_text(result),
      "packets dropped by the kernel here 1, at the server 4, of up to 64 datagrams each\n"));
  EXPECT_EQ(lost_without_address(result), "180 to 495");
  EXPECT_TRUE(contains(report_html(result, {}), "packets dropped at the server, of up to 64 "));
  result.account.lost = 5;
  EXPECT_EQ(lost_without_address(result), "0");
}

// --- JSON and CSV ---

TEST(ReportJson, key_values_survive_being_written_and_read) {
  LoadResult result = open_loop_result();
  result.options.pin = {0, 1};
  const auto json = nlohmann::json::parse(
      result_to_json(result, {{{"commit", "abc"}, {"argv", "a \"b\" <c>"}}}).dump());
  EXPECT_EQ(json["schema"], "evpool-bench-result/1");
  EXPECT_EQ(json["command"], "run");
  EXPECT_EQ(json["valid"], true);
  EXPECT_EQ(json["jobs_per_second"], 500.0);
  EXPECT_EQ(json["latency_us"]["max"], 1'000'000.0);
  EXPECT_EQ(json["service_us"]["count"], 1'000);
  EXPECT_EQ(json["account"]["refused"]["busy"], 20);
  EXPECT_EQ(json["account"]["refused"]["failed"], 0);
  EXPECT_EQ(json["account"]["scheduled"], 1'035);
  EXPECT_EQ(json["generator"]["calls_per_job"], 1.0);
  EXPECT_EQ(json["provenance"]["argv"], "a \"b\" <c>");
  EXPECT_EQ(json["server"]["received"], 1'030);
  EXPECT_EQ(json["options"]["rate"], 1'000.0);
  EXPECT_EQ(json["options"]["pin"], (nlohmann::json{0, 1}));
  EXPECT_EQ(json["options"]["mix"][0]["size"]["bytes"], 32);
  EXPECT_EQ(json["options"]["deadline_ms"], nullptr);
  EXPECT_EQ(json["series"][1]["p99_us"], 2'250.0);
}

TEST(ReportJson, each_latency_has_the_percentiles_as_keys) {
  const auto json = result_to_json(open_loop_result(), {});
  for (const char* which : {"latency_us", "service_us", "lag_us"}) {
    for (const char* key : {"p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"}) {
      EXPECT_TRUE(json[which].contains(key) && json[which][key].is_number()) << which << key;
    }
  }
  EXPECT_LE(json["latency_us"]["p50"], json["latency_us"]["p99.99"]);
}

TEST(ReportJson, an_invalid_run_is_not_valid) {
  LoadResult result;
  result.invalid = {"why"};
  const auto json = result_to_json(result, {});
  EXPECT_EQ(json["valid"], false);
  EXPECT_EQ(json["invalid"], nlohmann::ordered_json{"why"});
}

TEST(ReportJson, what_was_not_measured_is_null) {
  const auto json = result_to_json({}, {});
  EXPECT_EQ(json["latency_us"]["p50"], nullptr);
  EXPECT_EQ(json["latency_us"]["count"], 0);
  EXPECT_EQ(json["generator"]["cpu_us_per_job"], nullptr);
  EXPECT_EQ(result_to_json(open_loop_result(), {})["series"][0]["p50_us"], nullptr);
}

TEST(ReportJson, a_command_line_that_is_not_utf8_can_still_be_written) {
  const auto json = result_to_json({}, {{{"argv", "a\xff\xfe"}}});
  EXPECT_NO_THROW(static_cast<void>(json.dump()));
}

TEST(ReportCsv, has_a_row_for_each_interval) {
  const auto lines = lines_of(series_to_csv(open_loop_result()));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(
      lines[0],
      "begin_s,length_s,sent,ok,refused,wrong,lost,in_flight,p50_us,p99_us,max_us,lag_max_us");
  EXPECT_EQ(lines[1], "-0.500000,0.500000,400,0,0,0,0,9,,,,0.000");
  EXPECT_EQ(lines[2], "0.000000,1.000000,515,500,11,1,2,3,1.500,2250.000,3000.000,4.000");
}

TEST(ReportCsv, can_be_followed_by_what_it_was_measured_with) {
  EXPECT_EQ(provenance_comments({{{"commit", "abc"}, {"argv", "a 'b\nc'"}}}),
            "# commit: abc\n# argv: a 'b c'\n");
}

}  // namespace
}  // namespace evpool::bench
