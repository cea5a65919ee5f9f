#include "bench/report_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "bench/html_page.h"
#include "bench/numbers.h"
#include "bench/report_text.h"
#include "bench/svg_plot.h"

namespace evpool::bench {
namespace {

constexpr double kGap = std::numeric_limits<double>::quiet_NaN();

void append_account(std::string& html, const Account& account) {
  html += "<section class=\"wide\"><h2>Where every request went</h2>\n";
  append(html,
         "<p class=\"note\">Scheduled {} = sent {} + skipped {}. Whatever is not 0 is drawn at "
         "least as a sliver.{}</p>\n",
         grouped(account.scheduled), grouped(account.sent), grouped(account.skipped),
         account.balances() ? "" : " <span class=\"flag\">The account does not balance.</span>");
  html += account_bar("account", account);
  html +=
      "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">fate</th>"
      "<th scope=\"col\" class=\"number\">requests</th>"
      "<th scope=\"col\" class=\"number\">of scheduled</th>"
      "<th scope=\"col\">meaning</th></tr></thead><tbody>\n";
  for (const Fate& fate : fates_of(account)) {
    append(html,
           "<tr><th scope=\"row\">{}{}</th><td class=\"number\">{}</td>"
           "<td class=\"number\">{}</td><td class=\"quiet\">{}</td></tr>\n",
           draw_bar_key(fate.style), escape_html(fate.name), grouped(fate.count),
           share_text(fate.count, account.scheduled), fate.meaning);
  }
  html += "</tbody></table></div></section>\n";
}

Facts beside_the_account(const LoadResult& result) {
  const Account& account = result.account;
  const auto dropped = [&](std::string_view where) {
    return fmt::format("{} {}{}", result.offload_used ? "packets dropped" : "dropped", where,
                       what_a_drop_is(result));
  };
  Facts facts = {{"duplicate replies", grouped(account.duplicates)},
                 {"late replies", grouped(account.late)},
                 {"unknown replies", grouped(account.unknown)},
                 {"malformed datagrams", grouped(account.malformed)},
                 {dropped("by the kernel here"), grouped(account.kernel_drops)}};
  if (const auto drops = drops_at_server(result)) {
    facts.emplace_back(dropped("at the server"), grouped(*drops));
  }
  if (result.options.transport == Transport::udp) {
    facts.emplace_back("lost without an address", lost_without_address(result));
  }
  if (result.options.impairment.any()) {
    facts.emplace_back("dropped on purpose", grouped(account.impaired_drops));
    facts.emplace_back("duplicated on purpose", grouped(account.impaired_duplicates));
    facts.emplace_back("reordered on purpose", grouped(account.impaired_reorders));
  }
  facts.emplace_back("connections lost", grouped(account.connections_lost));
  facts.emplace_back("reconnects", grouped(account.reconnects));
  facts.emplace_back("failed connects", grouped(account.failed_connects));
  return facts;
}

Facts generator_facts(const LoadResult& result) {
  const auto per_request = [](std::optional<double> cost, std::string_view unit) {
    return cost ? fmt::format("{:.3f} {}", *cost, unit) : std::string(kNothing);
  };
  Facts facts = {{"CPU a request", per_request(cpu_us_per_job(result), "µs")},
                 {"system calls a request", per_request(calls_per_job(result), "")},
                 {"CPU time", fmt::format("{:.3f} s", result.cpu_seconds)},
                 {"calls to send", grouped(result.send_calls)},
                 {"calls to receive", grouped(result.receive_calls)},
                 {"held back", grouped(result.held_back)}};
  if (result.options.transport == Transport::udp) {
    facts.emplace_back("segmentation offload", result.offload_used ? "used" : "not used");
  }
  return facts;
}

// --- The plots ---

PlotLine percentile_line(std::string name, std::size_t style, const LatencyHistogram& histogram,
                         const Axis& axis) {
  constexpr int kPoints = 240;  // one in less than two units of the drawing
  PlotLine line{.name = std::move(name), .style = style, .points = {}};
  if (histogram.count() == 0) return line;
  // Beyond one in `count` there is nothing more to tell; of a single value, p50 at least.
  const double end = std::clamp(std::log10(static_cast<double>(histogram.count())),
                                place_of_quantile(0.5), axis.most);
  for (int i = 1; i <= kPoints; ++i) {
    const double place = end * i / kPoints;
    const double percent = 100 * (1 - std::pow(10, -place));
    line.points.push_back({place, static_cast<double>(histogram.percentile_ns(percent))});
  }
  return line;
}

void append_percentiles(std::string& html, const LoadResult& result) {
  Plot plot{.id = "percentiles",
            .title = "Latency by percentile",
            .description = {},
            .x = percentile_axis(result.latency.count()),
            .y = {},
            .lines = {}};
  plot.description = describe_latencies(result.latency);
  plot.lines.push_back(percentile_line("latency", 0, result.latency, plot.x));
  if (result.options.rate) {
    plot.lines.push_back(percentile_line("service", 1, result.service, plot.x));
  }
  plot.y = latency_axis_of(plot.lines);
  append_figure(html, plot,
                result.options.rate
                    ? "Latency counts from when a request was due, service from when it was sent; "
                      "what lies between is the wait for its turn."
                    : "In a closed loop a request is sent when it is due: the two clocks are one.");
}

// The rate, and the latencies, at the middle of each interval.
void append_series(std::string& html, const LoadResult& result) {
  if (result.series.empty()) return;
  constexpr std::size_t kMostMarked = 12;  // with more, the marks hide the lines
  const Mark mark = result.series.size() <= kMostMarked ? Mark::circle : Mark::none;
  const auto line = [&](std::string name, std::size_t style) {
    return PlotLine{.name = std::move(name), .style = style, .points = {}, .mark = mark};
  };
  std::vector<PlotLine> rates = {line("ok", 0), line("sent", 1)};
  std::vector<PlotLine> latencies = {line("p50", 0), line("p99", 1), line("max", 2)};
  double most_rate = 0;
  for (const IntervalRow& row : result.series) {
    const double middle = row.begin_s + row.length_s / 2;
    const std::array counts = {row.ok, row.sent};
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const bool any_time = row.length_s > 0;
      const double rate = any_time ? static_cast<double>(counts[i]) / row.length_s : kGap;
      if (any_time) most_rate = std::max(most_rate, rate);
      rates[i].points.push_back({middle, rate});
    }
    const std::array values = {row.p50_ns, row.p99_ns, row.max_ns};
    for (std::size_t i = 0; i < latencies.size(); ++i) {
      latencies[i].points.push_back({middle, row.ok > 0 ? static_cast<double>(values[i]) : kGap});
    }
  }
  const IntervalRow& first = result.series.front();
  const IntervalRow& last = result.series.back();
  const Axis time =
      seconds_axis(first.begin_s, last.begin_s + last.length_s, "since the end of the warm-up");
  const std::string intervals = fmt::format("{} intervals of the run, ", result.series.size());
  append_figure(html,
                {.id = "rate",
                 .title = "Rate over time",
                 .description = intervals + "replies that were ok and requests sent.",
                 .x = time,
                 .y = rate_axis(most_rate, "jobs/s"),
                 .lines = rates,
                 .shaded_until = 0},
                first.begin_s < 0 ? "Shaded: the warm-up, which is not measured." : "");
  append_figure(html,
                {.id = "latencies",
                 .title = "Latency over time",
                 .description = intervals + "p50, p99 and maximum of each.",
                 .x = time,
                 .y = latency_axis_of(latencies),
                 .lines = latencies,
                 .shaded_until = 0},
                "A gap is an interval without a single reply that was ok.");
}

// --- The page of one run ---

void append_verdict(std::string& html, const LoadResult& result) {
  if (const auto wrong = describe_wrong(result)) append_alert(html, "WRONG", {*wrong});
  append_alert(html, "INVALID", result.invalid);
}

void append_headline(std::string& html, const LoadResult& result) {
  append(html,
         "<header><p class=\"eyebrow\">evpool-bench run</p><h1>{} <small>jobs/s</small></h1>\n"
         "<p class=\"load\">{}, {:.2f} s</p>\n",
         rate_text(result), escape_html(describe_load(result.options)), result.seconds);
  if (result.account.ok == 0) {
    html += "<p class=\"flag\">Nothing was measured: no request was answered ok.</p>\n";
  } else if (result.invalid.empty() && result.account.wrong == 0) {
    append(html, "<p class=\"valid\">Valid: {} of {} scheduled requests answered ok.</p>\n",
           share_text(result.account.ok, result.account.scheduled),
           grouped(result.account.scheduled));
  }
  if (result.interrupted) html += "<p class=\"flag\">Interrupted before its end.</p>\n";
  html += "</header>\n<dl class=\"tiles\">\n";
  for (const auto& [name, percent] :
       {std::pair{"p50", 50.0}, {"p90", 90.0}, {"p99", 99.0}, {"p99.9", 99.9}, {"max", 100.0}}) {
    append(html, "<div><dt>{}</dt><dd>{}</dd></div>\n", name,
           latency_or_nothing(result.latency, percent));
  }
  html += "</dl>\n";
}

void append_latency_table(std::string& html, const LoadResult& result) {
  html +=
      "<section><h2>Latency in numbers</h2><div class=\"scroll\" "
      "tabindex=\"0\"><table><thead><tr><td></td>";
  const bool open_loop = result.options.rate.has_value();
  html += "<th scope=\"col\" class=\"number\">latency</th>";
  if (open_loop) {
    html +=
        "<th scope=\"col\" class=\"number\">service</th>"
        "<th scope=\"col\" class=\"number\">generator lag</th>";
  }
  html += "</tr></thead><tbody>\n";
  for (const double percent : {50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    append(html, "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>",
           percent < 100 ? fmt::format("p{:g}", percent) : "max",
           latency_or_nothing(result.latency, percent));
    if (open_loop) {
      append(html, "<td class=\"number\">{}</td><td class=\"number\">{}</td>",
             latency_or_nothing(result.service, percent), latency_or_nothing(result.lag, percent));
    }
    html += "</tr>\n";
  }
  html += "</tbody></table></div></section>\n";
}

}  // namespace

std::string report_html(const LoadResult& result, const Provenance& provenance) {
  std::string html;
  open_page(html, fmt::format("{}{}{} jobs/s, evpool-bench run",
                              result.account.wrong > 0 ? "WRONG: " : "",
                              result.invalid.empty() ? "" : "INVALID: ", rate_text(result)));
  append_verdict(html, result);
  append_headline(html, result);
  html += "<div class=\"grid-of\">\n";
  append_percentiles(html, result);
  append_latency_table(html, result);
  append_series(html, result);
  html += "</div>\n";
  append_account(html, result.account);
  html += "<div class=\"grid-of\">\n";
  append_facts(html, "Beside the account", beside_the_account(result), true);
  append_facts(html, "The generator's own cost", generator_facts(result), true);
  Facts server;
  for (const auto& [name, count] : result.server) server.emplace_back(name, grouped(count));
  append_facts(html, "The server's own statistics", server, true);
  append_provenance(html, provenance);
  html += "</div>\n";
  close_page(html);
  return html;
}

}  // namespace evpool::bench
