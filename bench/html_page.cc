#include "bench/html_page.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <utility>

#include "bench/numbers.h"
#include "bench/report_text.h"
#include "protocol/constants.h"

namespace evpool::bench {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--page:#f7f6f3;--surface:#fff;--text:#1d2024;--muted:#595e68;
--rule:#e3e1db;--good:#00664b;--bad:#a3200c;--bad-surface:#fdeae6}
@media (prefers-color-scheme:dark){:root{--page:#131519;--surface:#1b1e24;--text:#e9e7e2;
--muted:#a6abb5;--rule:#32363f;--good:#5fd3ab;--bad:#ffb3a1;--bad-surface:#43190f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);line-height:1.5;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:68rem;margin:0 auto;padding:2.2rem 1.1rem 4rem}
header{margin-bottom:1.5rem}
.eyebrow{margin:0;color:var(--muted);font-size:.85rem;letter-spacing:.04em}
h1{margin:.1rem 0 .2rem;font-size:clamp(2.2rem,7vw,3.4rem);font-weight:650;line-height:1.1;
letter-spacing:-.02em;font-variant-numeric:tabular-nums}
h1 small{font-size:.45em;font-weight:500;color:var(--muted);letter-spacing:0}
h2{margin:0 0 .2rem;font-size:1.05rem;font-weight:620}
p{margin:.3rem 0}
.load{color:var(--muted);overflow-wrap:anywhere}
.valid{color:var(--good);font-weight:550}
.invalid{background:var(--bad-surface);color:var(--bad);border-left:6px solid var(--bad);
border-radius:6px;padding:.8rem 1.1rem;margin-bottom:1.4rem;overflow-wrap:anywhere}
.invalid strong{font-size:1.25rem;letter-spacing:.03em}
.invalid ul{margin:.3rem 0 0;padding-left:1.2rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.2rem,1fr));gap:.8rem;
margin:0 0 1rem;padding:0}
.tiles div,section{background:var(--surface);border:1px solid var(--rule);border-radius:10px}
.tiles div{padding:.6rem .95rem}
.tiles dt{color:var(--muted);font-size:.85rem}
.tiles dd{margin:0;font-size:1.45rem;font-weight:600;font-variant-numeric:tabular-nums}
.grid-of{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1rem;
margin-bottom:1rem}
section{padding:1rem 1.15rem;min-width:0}
section.wide{margin-bottom:1rem}
.note{color:var(--muted);font-size:.85rem;max-width:46rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.34rem .7rem .34rem 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--rule);font-weight:400}
tr:last-child>*{border-bottom:0}
td+td,th+td,th+th,td+th{padding-left:.55rem}
thead th{color:var(--muted);font-size:.82rem}
tbody th{white-space:nowrap}
.number{text-align:right;white-space:nowrap}
thead .number{white-space:normal}
td.quiet{color:var(--muted);min-width:15rem}
td.load{color:inherit;min-width:13rem}
@media (max-width:520px){td,th{padding-right:.3rem}section{padding:.9rem .85rem}}
.facts td{overflow-wrap:anywhere}
.facts th{color:var(--muted);padding-right:1.4rem}
.facts td.number{width:40%}
.flag{color:var(--bad);font-weight:650}
td svg.bar{height:14px;min-width:7rem;margin-top:.28rem}
)";

}  // namespace

std::string latency_or_nothing(const LatencyHistogram& histogram, double percent) {
  if (histogram.count() == 0) return std::string(kNothing);
  return duration_text(static_cast<double>(histogram.percentile_ns(percent)));
}

std::string share_text(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return std::string(kNothing);
  if (part == 0 || part == whole) return part == 0 ? "0 %" : "100 %";
  const double percent = 100 * static_cast<double>(part) / static_cast<double>(whole);
  constexpr int kMostDecimals = 12;
  int decimals = 1;
  while (decimals < kMostDecimals) {
    const double smallest = std::pow(10, -decimals) / 2;
    if (percent >= smallest && percent < 100 - smallest) break;
    ++decimals;
  }
  return fmt::format("{:.{}f} %", percent, decimals);
}

std::string rate_text(const LoadResult& result) { return number_text(result.jobs_per_second()); }

void open_page(std::string& html, std::string_view title) {
  append(html,
         "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
         "<title>{}</title>\n<style>{}{}</style>\n</head>\n<body>\n{}<main>\n",
         escape_html(title), kStyle, plot_style(), bar_patterns());
}

void close_page(std::string& html) { html += "</main>\n</body>\n</html>\n"; }

void append_alert(std::string& html, std::string_view title,
                  const std::vector<std::string>& items) {
  if (items.empty()) return;
  append(html, "<div class=\"invalid\" role=\"alert\"><strong>{}</strong><ul>\n", title);
  for (const std::string& item : items) append(html, "<li>{}</li>\n", escape_html(item));
  html += "</ul></div>\n";
}

void append_facts(std::string& html, std::string_view title, const Facts& facts, bool numbers) {
  if (facts.empty()) return;
  append(html, "<section><h2>{}</h2><table class=\"facts\"><tbody>\n", title);
  for (const auto& [name, value] : facts) {
    append(html, "<tr><th scope=\"row\">{}</th><td{}>{}</td></tr>\n", escape_html(name),
           numbers ? " class=\"number\"" : "", escape_html(value));
  }
  html += "</tbody></table></section>\n";
}

void append_provenance(std::string& html, const Provenance& provenance) {
  append_facts(html, "Where this comes from", provenance.facts, false);
}

std::vector<Fate> fates_of(const Account& account) {
  std::vector<Fate> fates = {{"ok", account.ok, 0, "answered, and right where that is known"}};
  for (std::uint8_t i = 1; i < kStatusCount; ++i) {
    if (account.refused[i] == 0) continue;
    fates.push_back({std::string(name_of(static_cast<Status>(i))), account.refused[i], 1,
                     "refused by the server with this status"});
  }
  fates.push_back({"wrong", account.wrong, 2, "ok, but with another payload than expected"});
  fates.push_back({"lost", account.lost, 3, "no reply in time"});
  fates.push_back(
      {"unresolved", account.unresolved, 4, "the connection broke, or the run was cut short"});
  fates.push_back({"skipped", account.skipped, 5, "due, and never sent: the run ended first"});
  return fates;
}

std::string account_bar(std::string_view id, const Account& account) {
  std::vector<BarPart> parts;
  std::string description;
  for (const Fate& fate : fates_of(account)) {
    parts.push_back({fate.count, fate.style});
    append(description, "{}{} {}", description.empty() ? "" : ", ", fate.name, grouped(fate.count));
  }
  return draw_bar(id, "Where every scheduled request went", description, parts);
}

Axis latency_axis_of(const std::vector<PlotLine>& lines) {
  double least = std::numeric_limits<double>::infinity();
  double most = 0;
  for (const PlotLine& line : lines) {
    for (const PlotPoint& point : line.points) {
      if (!std::isfinite(point.y)) continue;
      least = std::min(least, point.y);
      most = std::max(most, point.y);
    }
  }
  return most > 0 ? latency_axis(least, most) : latency_axis(1e3, 1e6);
}

void append_figure(std::string& html, const Plot& plot, std::string_view note_html) {
  append(html, "<section><h2>{}</h2>{}{}<p class=\"note\">{}</p></section>\n",
         escape_html(plot.title), draw_legend(plot.lines), draw_plot(plot), note_html);
}

std::string describe_latencies(const LatencyHistogram& histogram) {
  if (histogram.count() == 0) return "Nothing was measured.";
  return fmt::format("Latency: p50 {}, p90 {}, p99 {}, p99.9 {}, p99.99 {}, max {}.",
                     latency_or_nothing(histogram, 50), latency_or_nothing(histogram, 90),
                     latency_or_nothing(histogram, 99), latency_or_nothing(histogram, 99.9),
                     latency_or_nothing(histogram, 99.99), latency_or_nothing(histogram, 100));
}

}  // namespace evpool::bench
