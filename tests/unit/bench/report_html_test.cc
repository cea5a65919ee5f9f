// What people read of a result in a browser.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/report_csv.h"
#include "bench/report_html.h"
#include "bench/report_text.h"
#include "bench/svg_plot.h"
#include "tests/unit/bench/report_testing.h"

namespace evpool::bench {
namespace {

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
  const std::string sweep = sweep_html({open_loop_result(), result}, 1, kProvenance);
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
    expect_good_page(sweep_html({result}, 1, {}));
  }
}

TEST(SweepHtml, marks_invalid_runs_and_names_the_best_of_the_others) {
  LoadResult slow = open_loop_result();
  LoadResult fast = open_loop_result();
  fast.seconds = 0.5;
  fast.invalid = {"too <good>"};
  const std::string html = sweep_html({slow, fast, open_loop_result()}, 2, kProvenance);
  expect_good_page(html);
  EXPECT_TRUE(contains(html, "</small> 500 <small>jobs/s"));
  EXPECT_TRUE(contains(html, "INVALID: 1 of 3 runs"));
  EXPECT_TRUE(contains(html, "run 2: too &lt;good&gt;"));
  // Its p50, its p99, and what it served.
  const std::regex doubtful("mark doubtful");
  EXPECT_EQ(std::distance(std::sregex_iterator(html.begin(), html.end(), doubtful), {}), 3);
  EXPECT_TRUE(contains(html, "run 1: 500 jobs/s, p99 "));
  expect_good_page(sweep_html({fast}, 1, {}));
  expect_good_page(sweep_html({}, 0, {}));
}

std::string part_of(const std::string& text, std::string_view begin, std::string_view end) {
  const std::size_t first = text.find(begin);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find(end, first) - first);
}

TEST(SweepHtml, tells_the_way_up_from_the_way_down_without_colours_too) {
  std::vector<LoadResult> results;
  for (const double rate : {1'000.0, 2'000.0, 2'000.0, 1'000.0}) {
    results.push_back(open_loop_result());
    results.back().options.rate = rate;
  }
  const std::string html = sweep_html(results, 2, kProvenance);
  expect_good_page(html);
  for (const std::string_view title : {"Throughput and latency", "Offered and served"}) {
    const std::string figure = part_of(html, fmt::format("<h2>{}", title), "</section>");
    for (const std::string_view name : {", up</li>", ", down</li>"}) {
      EXPECT_TRUE(contains(figure, name)) << title << name;
    }
    // Each line is of a style of its own: a colour and dashes.
    const std::string plot = part_of(figure, "<svg class=\"plot\"", "</svg>");
    std::vector<std::string> styles;
    const std::regex drawn(R"re(class="line (line-\d)")re");
    for (std::sregex_iterator match(plot.begin(), plot.end(), drawn), end; match != end; ++match) {
      styles.push_back((*match)[1]);
    }
    EXPECT_GE(styles.size(), 3U) << title;
    std::sort(styles.begin(), styles.end());
    EXPECT_EQ(std::adjacent_find(styles.begin(), styles.end()), styles.end()) << title;
    // Of a run on each way: its mark points there.
    EXPECT_TRUE(std::regex_search(plot, std::regex(R"(mark-0" d="M[^"]*Z")"))) << title;
    EXPECT_TRUE(std::regex_search(plot, std::regex(R"(mark-1" d="M[^"]*Z")"))) << title;
  }
  EXPECT_TRUE(contains(html, "</th><td>up</td>"));
  EXPECT_TRUE(contains(html, "</th><td>down</td>"));
  EXPECT_FALSE(contains(sweep_html({results[0]}, 2, {}), ", down</li>")) << "it ended before";
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
}

}  // namespace
}  // namespace evpool::bench
