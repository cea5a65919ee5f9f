#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "bench/html_page.h"
#include "bench/report_html.h"
#include "bench/report_text.h"
#include "bench/svg_plot.h"

namespace evpool::bench {
namespace {

std::size_t invalid_runs(const std::vector<LoadResult>& results) {
  return static_cast<std::size_t>(
      std::count_if(results.begin(), results.end(),
                    [](const LoadResult& result) { return !result.invalid.empty(); }));
}

// The valid run with the most jobs a second; null when no run is valid.
const LoadResult* best_of(const std::vector<LoadResult>& results) {
  const LoadResult* best = nullptr;
  for (const LoadResult& result : results) {
    if (!result.invalid.empty()) continue;
    if (best == nullptr || result.jobs_per_second() > best->jobs_per_second()) best = &result;
  }
  return best;
}

void append_verdict(std::string& html, const std::vector<LoadResult>& results) {
  std::vector<std::string> wrong;
  std::vector<std::string> invalid;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const LoadResult& result = results[i];
    if (const auto why = describe_wrong(result)) {
      wrong.push_back(fmt::format("run {}: {}", i + 1, *why));
    }
    if (!result.invalid.empty()) {
      invalid.push_back(fmt::format("run {}: {}", i + 1, join_reasons(result)));
    }
  }
  append_alert(html, "WRONG", wrong);
  append_alert(html, fmt::format("INVALID: {} of {} runs", invalid.size(), results.size()),
               invalid);
}

void append_headline(std::string& html, const std::vector<LoadResult>& results) {
  html += "<header><p class=\"eyebrow\">evpool-bench sweep</p>";
  const LoadResult* best = best_of(results);
  if (best == nullptr) {
    append(html, "<h1>{}</h1>\n", results.empty() ? "No run was made" : "No run may be believed");
  } else {
    append(html,
           "<h1><small>up to</small> {} <small>jobs/s</small></h1>\n"
           "<p class=\"load\">{}</p>\n<p class=\"valid\">{} of {} runs are valid.</p>\n",
           rate_text(*best), escape_html(describe_load(best->options)),
           results.size() - invalid_runs(results), results.size());
  }
  html += "</header>\n";
}

// The way up and the way down of a sweep: each is a line of its own, told apart by its colour, its
// dashes and its marks.
struct Way {
  std::string_view name;
  Mark mark;
  std::size_t first;  // of its runs
  std::size_t end;
};

// Without a way down when the sweep ended before it.
std::vector<Way> ways_of(const std::vector<LoadResult>& results, std::size_t rising) {
  const std::size_t up = std::min(rising, results.size());
  std::vector<Way> ways = {{"up", Mark::up, 0, up}};
  if (up < results.size()) ways.push_back({"down", Mark::down, up, results.size()});
  return ways;
}

constexpr const char* kMarksNote =
    "Triangles point the way the rate went, up or down. Hollow squares are invalid runs.";

void append_throughput_plot(std::string& html, const std::vector<LoadResult>& results,
                            const std::vector<Way>& ways) {
  constexpr std::pair<std::string_view, double> kPercentiles[] = {{"p50", 50}, {"p99", 99}};
  std::vector<PlotLine> lines;
  double most_rate = 0;
  for (const auto& [percentile, percent] : kPercentiles) {
    for (const Way& way : ways) {
      // Styles go by what a line is, so that a sweep without a way down looks like others.
      PlotLine line{.name = fmt::format("{}, {}", percentile, way.name),
                    .style = (percent > 50 ? 2U : 0U) + (way.mark == Mark::down ? 1U : 0U),
                    .points = {},
                    .mark = way.mark};
      for (std::size_t i = way.first; i < way.end; ++i) {
        const LatencyHistogram& latency = results[i].latency;
        most_rate = std::max(most_rate, results[i].jobs_per_second());
        const double value = latency.count() == 0
                                 ? std::numeric_limits<double>::quiet_NaN()
                                 : static_cast<double>(latency.percentile_ns(percent));
        line.points.push_back(
            {.x = results[i].jobs_per_second(),
             .y = value,
             .note = fmt::format("run {}: {} jobs/s, {} {}", i + 1, rate_text(results[i]),
                                 percentile, latency_or_nothing(latency, percent)),
             .doubtful = !results[i].invalid.empty()});
      }
      lines.push_back(std::move(line));
    }
  }
  append_figure(html,
                {.id = "throughput",
                 .title = "Throughput and latency",
                 .description = fmt::format(
                     "p50 and p99 of {} runs over the jobs a second that each reached, the way up "
                     "and the way down; the table below holds the same numbers.",
                     results.size()),
                 .x = rate_axis(most_rate, "jobs/s"),
                 .y = latency_axis_of(lines),
                 .lines = lines},
                fmt::format("Joined in the order of the runs. {}", kMarksNote));
}

// How much was asked for, and how much of it was served.
void append_offered_plot(std::string& html, const std::vector<LoadResult>& results,
                         const std::vector<Way>& ways) {
  const bool open_loop = std::all_of(results.begin(), results.end(), [](const LoadResult& result) {
    return result.options.rate.has_value();
  });
  if (!open_loop) return;
  constexpr std::size_t kPlainStyle = 4;
  PlotLine offered{.name = "as much as was offered", .style = kPlainStyle, .points = {}};
  std::vector<PlotLine> lines;
  double most = 0;
  for (const Way& way : ways) {
    PlotLine served{.name = fmt::format("served, {}", way.name),
                    .style = way.mark == Mark::down ? 1U : 0U,
                    .points = {},
                    .mark = way.mark};
    for (std::size_t i = way.first; i < way.end; ++i) {
      const double rate = *results[i].options.rate;
      const double reached = results[i].jobs_per_second();
      most = std::max({most, rate, reached});
      served.points.push_back(
          {.x = rate,
           .y = reached,
           .note = fmt::format("run {}: {} jobs/s served", i + 1, rate_text(results[i])),
           .doubtful = !results[i].invalid.empty()});
      if (way.mark == Mark::up) offered.points.push_back({.x = rate, .y = rate});
    }
    lines.push_back(std::move(served));
  }
  lines.push_back(std::move(offered));
  append_figure(html,
                {.id = "offered",
                 .title = "Offered and served",
                 .description = "Jobs a second served, over the rate at which they were due, the "
                                "way up and the way down.",
                 .x = rate_axis(most, "offered/s"),
                 .y = rate_axis(most, "jobs/s"),
                 .lines = lines},
                fmt::format("Where a line with marks leaves the thin grey one, the server does not "
                            "keep up. {}",
                            kMarksNote));
}

void append_runs(std::string& html, const std::vector<LoadResult>& results, std::size_t rising) {
  html +=
      "<section class=\"wide\"><h2>The runs</h2><div class=\"scroll\" "
      "tabindex=\"0\"><table><thead><tr>"
      "<th scope=\"col\">run</th><th scope=\"col\">way</th><th scope=\"col\">load</th>";
  for (const std::string_view name : {"jobs/s", "p50", "p99", "p99.9", "max", "ok"}) {
    append(html, "<th scope=\"col\" class=\"number\">{}</th>", name);
  }
  html += "<th scope=\"col\">account</th></tr></thead><tbody>\n";
  for (std::size_t i = 0; i < results.size(); ++i) {
    const LoadResult& result = results[i];
    append(html,
           "<tr><th scope=\"row\">{}{}</th><td>{}</td><td class=\"load\">{}</td>"
           "<td class=\"number\">{}</td>",
           i + 1, result.invalid.empty() ? "" : " <span class=\"flag\">invalid</span>",
           i < rising ? "up" : "down", escape_html(describe_model(result.options)),
           rate_text(result));
    for (const double percent : {50.0, 99.0, 99.9, 100.0}) {
      append(html, "<td class=\"number\">{}</td>", latency_or_nothing(result.latency, percent));
    }
    append(html, "<td class=\"number\">{}</td><td>{}</td></tr>\n",
           share_text(result.account.ok, result.account.scheduled),
           account_bar(fmt::format("account-{}", i + 1), result.account));
  }
  html += "</tbody></table></div>\n<ul class=\"legend\">";
  // One key a style: the refusals share theirs.
  constexpr std::string_view kFates[kBarStyles] = {"ok",   "refused",    "wrong",
                                                   "lost", "unresolved", "skipped"};
  for (std::size_t style = 0; style < kBarStyles; ++style) {
    append(html, "<li>{}{}</li>", draw_bar_key(style), kFates[style]);
  }
  html += "</ul></section>\n";
}

}  // namespace

std::string sweep_html(const std::vector<LoadResult>& results, std::size_t rising,
                       const Provenance& provenance) {
  std::string html;
  const LoadResult* best = best_of(results);
  open_page(html, best == nullptr
                      ? "evpool-bench sweep"
                      : fmt::format("up to {} jobs/s, evpool-bench sweep", rate_text(*best)));
  append_verdict(html, results);
  append_headline(html, results);
  if (!results.empty()) {
    html += "<div class=\"grid-of\">\n";
    const std::vector<Way> ways = ways_of(results, rising);
    append_throughput_plot(html, results, ways);
    append_offered_plot(html, results, ways);
    html += "</div>\n";
    append_runs(html, results, rising);
  }
  append_provenance(html, provenance);
  close_page(html);
  return html;
}

}  // namespace evpool::bench
