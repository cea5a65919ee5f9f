// What people and programs read of a result: text, JSON, CSV and pages.
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "bench/report_csv.h"
#include "bench/report_html.h"
#include "bench/report_json.h"
#include "bench/report_text.h"
#include "bench/svg_plot.h"

namespace evpool::bench {
namespace {

LoadResult open_loop_result() {
  LoadResult result;
  result.options.rate = 1'000;
  result.options.connections = 5;
  result.options.in_flight = 16;
  result.seconds = 2;
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    result.latency.record(i * 1'000'000);
    result.service.record(i * 1'000);
    result.lag.record(500);
  }
  Account& account = result.account;
  account.ok = 1'000;
  account.refused[static_cast<std::size_t>(Status::busy)] = 20;
  account.refused[static_cast<std::size_t>(Status::expired)] = 3;
  account.lost = 7;
  account.sent = 1'030;
  account.skipped = 5;
  account.scheduled = 1'035;
  result.cpu_seconds = 0.00206;
  result.send_calls = 515;
  result.receive_calls = 515;
  result.server = {{"received", 1'030}, {"datagrams_dropped", 4}};
  result.series = {{.begin_s = -0.5, .length_s = 0.5, .sent = 400, .ok = 0, .in_flight = 9},
                   {.begin_s = 0,
                    .length_s = 1,
                    .sent = 515,
                    .ok = 500,
                    .refused = 11,
                    .wrong = 1,
                    .lost = 2,
                    .in_flight = 3,
                    .p50_ns = 1'500,
                    .p99_ns = 2'250'000,
                    .max_ns = 3'000'000,
                    .lag_max_ns = 4'000}};
  return result;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

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

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
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
            "500 jobs/s  tcp to 127.0.0.1:6666, open loop at 1000/s Poisson, at most 5 x 16 in "
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

// --- Pages ---

// Tags are closed in the order in which they were opened, ids are unique, and what they refer to is
// there. Enough of a parser for what we write.
void expect_well_formed(const std::string& html) {
  const std::regex tag(R"(<(/?)([A-Za-z0-9]+)((?:\s+[a-zA-Z-]+="[^"<]*")*)\s*(/?)>)");
  std::vector<std::string> open;
  std::size_t tags = 0;
  for (std::sregex_iterator match(html.begin(), html.end(), tag), end; match != end; ++match) {
    ++tags;
    const std::string name = (*match)[2];
    if ((*match)[1].length() > 0) {
      ASSERT_FALSE(open.empty()) << name;
      EXPECT_EQ(open.back(), name);
      open.pop_back();
    } else if ((*match)[4].length() == 0) {
      open.push_back(name);
    }
  }
  EXPECT_TRUE(open.empty());
  // Every < begins one of those tags, but for the document type.
  EXPECT_EQ(static_cast<std::size_t>(std::count(html.begin(), html.end(), '<')), tags + 1);

  std::vector<std::string> ids;
  const std::regex id(R"( id="([^"]*)\")");
  for (std::sregex_iterator match(html.begin(), html.end(), id), end; match != end; ++match) {
    ids.push_back((*match)[1]);
  }
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::adjacent_find(ids.begin(), ids.end()), ids.end());
  const std::regex labelled(R"re(aria-labelledby="(\S+) (\S+)")re");
  for (std::sregex_iterator match(html.begin(), html.end(), labelled), end; match != end; ++match) {
    EXPECT_TRUE(std::binary_search(ids.begin(), ids.end(), (*match)[1].str()));
    EXPECT_TRUE(std::binary_search(ids.begin(), ids.end(), (*match)[2].str()));
  }
}

// A page is one file: nothing in it runs, and nothing is fetched.
void expect_self_contained(const std::string& html) {
  for (const std::string_view part :
       {"<script", "javascript:", "http://", "https://", "src=", "href=", "@import", "url(/"}) {
    EXPECT_FALSE(contains(html, part)) << part;
  }
  EXPECT_FALSE(std::regex_search(html, std::regex("[^a-z](nan|inf)[^a-z]")));
}

void expect_good_page(const std::string& html) {
  expect_well_formed(html);
  expect_self_contained(html);
}

const Provenance kProvenance = {{{"argv", "evpool-bench run --job '<b>&\"\x01'"}}};

TEST(ReportHtml, a_page_is_one_well_formed_file_without_scripts) {
  const std::string html = report_html(open_loop_result(), kProvenance);
  expect_good_page(html);
  for (const std::string_view part : {"percentiles-d", "rate-d", "latencies-d", "account-d"}) {
    EXPECT_TRUE(contains(html, part)) << part;
  }
  EXPECT_TRUE(contains(html, "<h1>500 "));
  EXPECT_TRUE(contains(html, "prefers-color-scheme"));
}

TEST(ReportHtml, all_text_is_escaped) {
  LoadResult result = open_loop_result();
  result.invalid = {"<script>alert('&')</script>"};
  result.options.mix[0].job = "</p><i>";
  result.server = {{"<td>", 1}};
  const std::string html = report_html(result, kProvenance);
  expect_good_page(html);
  EXPECT_TRUE(contains(html, "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"));
  EXPECT_TRUE(contains(html, "&#39;&lt;b&gt;&amp;&quot;\uFFFD&#39;"));
  EXPECT_TRUE(contains(html, "&lt;/p&gt;&lt;i&gt;"));
}

TEST(ReportHtml, an_invalid_run_says_so_before_anything_else) {
  LoadResult result = open_loop_result();
  EXPECT_FALSE(contains(report_html(result, {}), "INVALID"));
  result.invalid = {"the generator was late"};
  const std::string html = report_html(result, {});
  EXPECT_LT(html.find("<strong>INVALID</strong>"), html.find("<h1>"));
  EXPECT_TRUE(contains(html, "<li>the generator was late</li>"));
  EXPECT_FALSE(contains(html, "class=\"valid\""));
}

TEST(ReportHtml, wrong_replies_are_told_before_anything_else) {
  LoadResult result = open_loop_result();
  result.account.wrong = 3;
  const std::string html = report_html(result, kProvenance);
  expect_good_page(html);
  EXPECT_LT(html.find("3 of 1003 replies were not what"), html.find("<h1>"));
  EXPECT_FALSE(contains(html, "Valid:"));
  const std::string sweep = sweep_html({open_loop_result(), result}, kProvenance);
  expect_good_page(sweep);
  EXPECT_LT(sweep.find("run 2: 3 of 1003 replies were not what"), sweep.find("<h1>"));
}

TEST(ReportHtml, a_run_without_replies_is_shown_as_such) {
  for (LoadResult result : {LoadResult{}, [] {
                              LoadResult lost;
                              lost.options.rate = 5;
                              lost.series = {{.begin_s = 0, .length_s = 0, .sent = 3}, {}};
                              lost.account.scheduled = lost.account.sent = lost.account.lost = 3;
                              return lost;
                            }()}) {
    const std::string html = report_html(result, {});
    expect_good_page(html);
    EXPECT_TRUE(contains(html, "Nothing was measured"));
    EXPECT_FALSE(contains(html, "class=\"valid\""));
    EXPECT_FALSE(std::regex_search(report_text(result), std::regex("nan|inf\\b")));
    EXPECT_FALSE(contains(series_to_csv(result), "nan"));
  }
}

TEST(ReportHtml, an_interval_without_length_does_not_spoil_the_others) {
  LoadResult result = open_loop_result();
  result.series[0].length_s = 0;
  const std::string html = report_html(result, {});
  expect_good_page(html);
  EXPECT_TRUE(contains(html, ">600</text>"));  // the axis reaches over the 515 jobs/s of the other
}

TEST(ReportHtml, extreme_values_are_drawn) {
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX}) {
    LoadResult result = open_loop_result();
    result.latency = {};
    result.latency.record(value);
    result.series[1].max_ns = value;
    result.seconds = 1e-9;
    expect_good_page(report_html(result, {}));
    expect_good_page(sweep_html({result}, {}));
  }
}

TEST(SweepHtml, marks_invalid_runs_and_names_the_best_of_the_others) {
  LoadResult slow = open_loop_result();
  LoadResult fast = open_loop_result();
  fast.seconds = 0.5;
  fast.invalid = {"too <good>"};
  const std::string html = sweep_html({slow, fast, open_loop_result()}, kProvenance);
  expect_good_page(html);
  EXPECT_TRUE(contains(html, "</small> 500 <small>jobs/s"));
  EXPECT_TRUE(contains(html, "INVALID: 1 of 3 runs"));
  EXPECT_TRUE(contains(html, "run 2: too &lt;good&gt;"));
  // Its p50, its p99, and what it served.
  const std::regex doubtful("mark doubtful");
  EXPECT_EQ(std::distance(std::sregex_iterator(html.begin(), html.end(), doubtful), {}), 3);
  EXPECT_TRUE(contains(html, "run 1: 500 jobs/s, p99 "));
  expect_good_page(sweep_html({fast}, {}));
  expect_good_page(sweep_html({}, {}));
}

TEST(SvgPlot, labels_have_units_and_do_not_repeat) {
  for (const auto& [least, most] : std::initializer_list<std::pair<double, double>>{
           {81'000, 82'000}, {100, 100}, {5, 4e9}, {0, 2e19}, {950, 1'050}, {1e6, 9.99e6}}) {
    const Axis axis = latency_axis(least, most);
    EXPECT_LE(axis.least, std::max(least, 1.0));
    EXPECT_GE(axis.most, most);
    std::vector<std::string> labels;
    for (const Tick& tick : axis.ticks) {
      if (!tick.label.empty()) labels.push_back(tick.label);
    }
    EXPECT_GE(labels.size(), 2U) << least << " to " << most;
    EXPECT_LE(labels.size(), 12U);
    for (const std::string& label : labels) {
      EXPECT_TRUE(std::regex_match(label, std::regex("[0-9.e+]+ (ns|µs|ms|s)"))) << label;
    }
    std::sort(labels.begin(), labels.end());
    EXPECT_EQ(std::adjacent_find(labels.begin(), labels.end()), labels.end());
  }
  EXPECT_EQ(rate_axis(48'000, "").ticks.back().label, "50k");
  EXPECT_EQ(latency_axis(1e6, 5e6).ticks.front().label, "1 ms");
}

TEST(SvgPlot, the_smallest_part_of_a_bar_can_be_seen) {
  const std::string bar = draw_bar("b", "", "", {{1'000'000'000, 0}, {1, 2}, {0, 3}});
  EXPECT_TRUE(contains(bar, R"(part-2" x="714.00" width="6.00")")) << bar;
  EXPECT_FALSE(contains(bar, "part-3"));
}

TEST(SvgPlot, numbers_read_well) {
  EXPECT_EQ(duration_text(812), "812 ns");
  EXPECT_EQ(duration_text(81'234), "81.2 µs");
  EXPECT_EQ(duration_text(1'254'000), "1.25 ms");
  EXPECT_EQ(duration_text(3e9), "3.00 s");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'000), "1,000");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
}

}  // namespace
}  // namespace evpool::bench
