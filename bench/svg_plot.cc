#include "bench/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <utility>

namespace evpool::bench {
namespace {

// In the units of the viewBox. The margins hold labels of 18 units, which is what the style sheet
// makes of them on a telephone, where all is drawn smaller.
constexpr double kWidth = 480;
constexpr double kHeight = 292;
constexpr double kLeft = 72;
constexpr double kRight = 452;
constexpr double kTop = 40;
constexpr double kBottom = 246;

constexpr double kBarWidth = 720;
constexpr double kBarHeight = 28;
constexpr double kLeastBarPart = 6;

constexpr double kDecade = 10;
// Of the steps 1, 2, 5 a decade, so that a round value does not move by a rounding error.
constexpr double kTolerance = 1e-9;

template <typename... Arguments>
void append(std::string& text, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  fmt::format_to(std::back_inserter(text), format, std::forward<Arguments>(arguments)...);
}

double decade_of(double value) { return std::pow(kDecade, std::floor(std::log10(value))); }

double round_down(double value) {
  const double decade = decade_of(value);
  for (const double step : {5.0, 2.0}) {
    if (step * decade <= value * (1 + kTolerance)) return step * decade;
  }
  return decade;
}

double round_up(double value) {
  const double decade = decade_of(value);
  for (const double step : {1.0, 2.0, 5.0}) {
    if (step * decade >= value * (1 - kTolerance)) return step * decade;
  }
  return kDecade * decade;
}

struct Scaled {
  double value;
  std::string_view unit;
};

Scaled in_fitting_unit(double nanoseconds) {
  if (nanoseconds < 1e3) return {nanoseconds, "ns"};
  if (nanoseconds < 1e6) return {nanoseconds / 1e3, "µs"};
  if (nanoseconds < 1e9) return {nanoseconds / 1e6, "ms"};
  return {nanoseconds / 1e9, "s"};
}

std::string rate_label(double rate) {
  if (rate >= 1e6) return fmt::format("{:g}M", rate / 1e6);
  if (rate >= 1e3) return fmt::format("{:g}k", rate / 1e3);
  return fmt::format("{:g}", rate);
}

// 0 to 1 along the axis; not finite when the value is not.
double along(const Axis& axis, double value) {
  if (!axis.logarithmic) return (value - axis.least) / (axis.most - axis.least);
  return std::log(std::max(value, axis.least) / axis.least) / std::log(axis.most / axis.least);
}

double x_of(const Plot& plot, double value) {
  return kLeft + along(plot.x, value) * (kRight - kLeft);
}

double y_of(const Plot& plot, double value) {
  return kBottom - along(plot.y, value) * (kBottom - kTop);
}

void append_grid(std::string& svg, const Plot& plot) {
  for (const Tick& tick : plot.y.ticks) {
    const double y = y_of(plot, tick.at);
    append(svg, R"(<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>)", kLeft, y, kRight);
    if (tick.label.empty()) continue;
    append(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)", kLeft - 8, y + 4.5,
           escape_html(tick.label));
  }
  for (const Tick& tick : plot.x.ticks) {
    const double x = x_of(plot, tick.at);
    append(svg, R"(<path class="grid" d="M{:.1f} {:.1f}V{:.1f}"/>)", x, kTop, kBottom);
    if (tick.label.empty()) continue;
    append(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)", x, kBottom + 20,
           escape_html(tick.label));
  }
  append(svg, R"(<path class="axis" d="M{:.1f} {:.1f}H{:.1f}"/>)", kLeft, kBottom, kRight);
  append(svg, R"(<text class="caption" x="0" y="15">{}</text>)", escape_html(plot.y.caption));
  append(svg, R"(<text class="caption" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)", kRight,
         kBottom + 42, escape_html(plot.x.caption));
  svg += '\n';
}

void append_path(std::string& svg, const Plot& plot, const PlotLine& line) {
  std::string path;
  bool after_gap = true;
  bool alone = false;  // of a point between gaps only a dot can be seen, and it needs a length
  for (const PlotPoint& point : line.points) {
    const double x = x_of(plot, point.x);
    const double y = y_of(plot, point.y);
    if (!std::isfinite(x) || !std::isfinite(y)) {
      if (alone) path += "h0";
      after_gap = true;
      alone = false;
      continue;
    }
    append(path, "{}{:.1f} {:.1f}", after_gap ? 'M' : 'L', x, y);
    alone = after_gap;
    after_gap = false;
  }
  if (alone) path += "h0";
  if (!path.empty()) append(svg, R"(<path class="line line-{}" d="{}"/>)", line.style, path);
}

constexpr double kMarkRadius = 4;

// `inside`: an element within the mark, or nothing.
void append_mark(std::string& svg, const PlotLine& line, double x, double y,
                 std::string_view inside) {
  if (line.mark == Mark::circle) {
    append(svg, R"(<circle class="mark mark-{}" cx="{:.1f}" cy="{:.1f}" r="{}">{}</circle>)",
           line.style, x, y, kMarkRadius, inside);
    return;
  }
  constexpr double kTriangleRadius = 1.25 * kMarkRadius;  // it looks smaller than a circle
  const double base = line.mark == Mark::up ? kTriangleRadius : -kTriangleRadius;
  append(svg, R"(<path class="mark mark-{}" d="M{:.1f} {:.1f}H{:.1f}L{:.1f} {:.1f}Z">{}</path>)",
         line.style, x - kTriangleRadius, y + base, x + kTriangleRadius, x, y - base, inside);
}

void append_marks(std::string& svg, const Plot& plot, const PlotLine& line) {
  for (const PlotPoint& point : line.points) {
    const double x = x_of(plot, point.x);
    const double y = y_of(plot, point.y);
    if (!std::isfinite(x) || !std::isfinite(y)) continue;
    const std::string note =
        point.note.empty() ? "" : fmt::format("<title>{}</title>", escape_html(point.note));
    if (point.doubtful) {
      append(svg,
             R"(<rect class="mark doubtful line-{}" x="{:.1f}" y="{:.1f}" width="{}" height="{}">)"
             "{}</rect>",
             line.style, x - kMarkRadius, y - kMarkRadius, 2 * kMarkRadius, 2 * kMarkRadius, note);
    } else {
      append_mark(svg, line, x, y, note);
    }
  }
}

// An image to a screen reader, with its name and what it shows.
void open_svg(std::string& svg, std::string_view css_class, std::string_view id, double width,
              double height, std::string_view title, std::string_view description) {
  append(svg,
         R"(<svg class="{0}" viewBox="0 0 {1} {2}" role="img" aria-labelledby="{3}-t {3}-d"{4}>)"
         R"(<title id="{3}-t">{5}</title><desc id="{3}-d">{6}</desc>)",
         css_class, width, height, escape_html(id),
         css_class == "bar" ? R"( preserveAspectRatio="none")" : "", escape_html(title),
         escape_html(description));
  svg += '\n';
}

// Lengths that add up to `whole`: every part has its least one, and the rest is shared out.
std::vector<double> bar_lengths(const std::vector<BarPart>& parts, double whole) {
  double total = 0;
  double shared = whole;
  for (const BarPart& part : parts) {
    total += static_cast<double>(part.count);
    if (part.count > 0) shared -= kLeastBarPart;
  }
  std::vector<double> lengths;
  lengths.reserve(parts.size());
  for (const BarPart& part : parts) {
    lengths.push_back(
        part.count == 0 ? 0 : kLeastBarPart + shared * static_cast<double>(part.count) / total);
  }
  return lengths;
}

}  // namespace

Axis latency_axis(double least_ns, double most_ns) {
  Axis axis;
  axis.logarithmic = true;
  axis.least = round_down(std::max(least_ns, 1.0));
  axis.most = round_up(std::max(most_ns, axis.least));
  if (axis.most <= axis.least) axis.most = 2 * axis.least;
  axis.caption = "latency";
  const double decades = std::log10(axis.most / axis.least);
  // Few decades leave room for more labels, very many for fewer.
  const bool label_all = decades <= 2.2;
  const int label_every = decades > 8 ? 2 : 1;
  for (int number = 0;; ++number) {
    const double decade = decade_of(axis.least) * std::pow(kDecade, number);
    if (decade > axis.most * (1 + kTolerance)) break;
    for (const double step : {1.0, 2.0, 5.0}) {
      const double at = step * decade;
      if (at < axis.least * (1 - kTolerance) || at > axis.most * (1 + kTolerance)) continue;
      const bool labelled = label_all || (step < 2 && number % label_every == 0);
      if (!labelled && decades > 4) continue;
      const auto [value, unit] = in_fitting_unit(at * (1 + kTolerance));
      axis.ticks.push_back({at, labelled ? fmt::format("{:.3g} {}", value, unit) : ""});
    }
  }
  return axis;
}

Axis rate_axis(double most, std::string caption) {
  constexpr double kWantedSteps = 4;
  Axis axis;
  const double step = round_up(std::max(most, kWantedSteps) / (kWantedSteps + 1));
  const int steps = static_cast<int>(std::ceil(std::max(most, 1.0) / step * (1 - kTolerance)));
  axis.most = steps * step;
  axis.caption = std::move(caption);
  for (int i = 0; i <= steps; ++i) axis.ticks.push_back({i * step, rate_label(i * step)});
  return axis;
}

Axis seconds_axis(double least, double most, std::string caption) {
  constexpr double kWantedSteps = 6;
  constexpr double kLeastLength = 1e-3;
  Axis axis;
  axis.least = least;
  axis.most = std::max(most, least + kLeastLength);
  axis.caption = std::move(caption);
  const double step = round_up((axis.most - axis.least) / kWantedSteps);
  for (int i = static_cast<int>(std::ceil(axis.least / step)); i * step <= axis.most; ++i) {
    axis.ticks.push_back({i * step, fmt::format("{:.4g} s", i * step)});
  }
  return axis;
}

double place_of_quantile(double quantile) { return -std::log10(1 - quantile); }

Axis percentile_axis(std::uint64_t count) {
  constexpr double kLeastDecades = 2;
  constexpr double kMostDecades = 5;
  Axis axis;
  axis.most =
      std::clamp(std::ceil(std::log10(static_cast<double>(std::max<std::uint64_t>(count, 1)))),
                 kLeastDecades, kMostDecades);
  axis.caption = "percentile";
  for (const double percent : {50.0, 90.0, 99.0, 99.9, 99.99, 99.999}) {
    const double at = place_of_quantile(percent / 100);
    if (at <= axis.most * (1 + kTolerance))
      axis.ticks.push_back({at, fmt::format("{:g}", percent)});
  }
  return axis;
}

std::string draw_plot(const Plot& plot) {
  std::string svg;
  open_svg(svg, "plot", plot.id, kWidth, kHeight, plot.title, plot.description);
  if (plot.shaded_until && *plot.shaded_until > plot.x.least) {
    const double end = x_of(plot, std::min(*plot.shaded_until, plot.x.most));
    append(svg, R"(<rect class="shade" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>)",
           kLeft, kTop, end - kLeft, kBottom - kTop);
  }
  append_grid(svg, plot);
  for (const PlotLine& line : plot.lines) {
    append_path(svg, plot, line);
    if (line.mark != Mark::none) append_marks(svg, plot, line);
    svg += '\n';
  }
  return svg + "</svg>\n";
}

std::string draw_legend(const std::vector<PlotLine>& lines) {
  std::string html = "<ul class=\"legend\">";
  for (const PlotLine& line : lines) {
    append(html,
           R"(<li><svg class="key" viewBox="0 0 30 10" aria-hidden="true">)"
           R"(<path class="line line-{}" d="M2 5H28"/>)",
           line.style);
    if (line.mark != Mark::none) append_mark(html, line, 15, 5, "");
    append(html, "</svg>{}</li>", escape_html(line.name));
  }
  return html + "</ul>\n";
}

std::string draw_bar(std::string_view id, std::string_view title, std::string_view description,
                     const std::vector<BarPart>& parts) {
  std::string svg;
  open_svg(svg, "bar", id, kBarWidth, kBarHeight, title, description);
  append(svg, R"(<rect class="shade" width="{}" height="{}"/>)", kBarWidth, kBarHeight);
  const std::vector<double> lengths = bar_lengths(parts, kBarWidth);
  double x = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].count == 0) continue;
    append(svg, R"(<rect class="part part-{}" x="{:.2f}" width="{:.2f}" height="{}"/>)",
           parts[i].style, x, lengths[i], kBarHeight);
    x += lengths[i];
  }
  return svg + "</svg>\n";
}

std::string draw_bar_key(std::size_t style) {
  return fmt::format(R"(<svg class="key" viewBox="0 0 14 14" aria-hidden="true">)"
                     R"(<rect class="part part-{}" x="1" y="1" width="12" height="12"/></svg>)",
                     style);
}

std::string duration_text(double nanoseconds) {
  if (nanoseconds < 1e3) return fmt::format("{:.0f} ns", nanoseconds);
  const auto [value, unit] = in_fitting_unit(nanoseconds);
  const int decimals = value < 10 ? 2 : value < 100 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, unit);
}

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default: {
        const bool control =
            (static_cast<unsigned char>(letter) < 0x20 && letter != '\n' && letter != '\t') ||
            letter == 0x7f;
        if (control) {
          escaped += "\uFFFD";
        } else {
          escaped += letter;
        }
      }
    }
  }
  return escaped;
}

std::string_view bar_patterns() {
  return R"svg(<svg class="patterns" width="0" height="0" aria-hidden="true"><defs>
<pattern id="stripes" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="fill-1" width="6" height="6"/><rect class="cut" width="2" height="6"/></pattern>
<pattern id="bars" width="6" height="6" patternUnits="userSpaceOnUse"><rect class="fill-3" width="6" height="6"/><rect class="cut" width="2" height="6"/></pattern>
<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse"><rect class="fill-4" width="6" height="6"/><circle class="cut" cx="3" cy="3" r="1.4"/></pattern>
</defs></svg>
)svg";
}

// The colours are Okabe and Ito's, darkened or lightened until each stands out from its background
// by 3:1 at least.
std::string_view plot_style() {
  return R"(
:root{--c0:#0a63a8;--c1:#c8530a;--c2:#00795a;--c3:#8a3ba3;
--ok:#2f7fb8;--refused:#d9860b;--wrong:#c0300f;--lost:#8a3ba3;--unresolved:#6b6f78}
@media (prefers-color-scheme:dark){:root{--c0:#6cb6f5;--c1:#f2a154;--c2:#4fcfa5;--c3:#d79be8;
--ok:#4f9fd6;--refused:#f0b04a;--wrong:#ff7d5c;--lost:#d79be8;--unresolved:#9aa0ab}}
svg.plot{display:block;width:100%;height:auto;overflow:visible}
svg.plot text{fill:var(--muted);font-size:13px;font-variant-numeric:tabular-nums}
svg.plot .caption{fill:var(--text)}
@media (max-width:520px){svg.plot text{font-size:18px}}
.grid{stroke:var(--rule);stroke-width:1;fill:none}
.axis{stroke:var(--muted);stroke-width:1;fill:none}
.shade{fill:var(--rule);opacity:.55}
.line{fill:none;stroke-width:2.25;stroke-linejoin:round;stroke-linecap:round}
.line-0{stroke:var(--c0)}
.line-1{stroke:var(--c1);stroke-dasharray:7 5}
.line-2{stroke:var(--c2);stroke-dasharray:1 5}
.line-3{stroke:var(--c3);stroke-dasharray:10 4 1 4}
.line-4{stroke:var(--muted);stroke-width:1.25}
.mark{stroke:var(--surface);stroke-width:1.5}
.mark-0{fill:var(--c0)}.mark-1{fill:var(--c1)}.mark-2{fill:var(--c2)}.mark-3{fill:var(--c3)}.mark-4{fill:var(--muted)}
.mark.doubtful{fill:var(--surface);stroke-width:2;stroke-dasharray:none}
.mark.doubtful.line-0{stroke:var(--c0)}.mark.doubtful.line-1{stroke:var(--c1)}
.mark.doubtful.line-2{stroke:var(--c2)}.mark.doubtful.line-3{stroke:var(--c3)}
svg.bar{display:block;width:100%;height:28px;border-radius:4px}
svg.key{height:.8em;vertical-align:-.05em;margin-right:.5em}
svg.patterns{position:absolute}
.part-0{fill:var(--ok)}.part-1{fill:url(#stripes)}.part-2{fill:var(--wrong)}
.part-3{fill:url(#bars)}.part-4{fill:url(#dots)}
.part-5{fill:var(--surface);stroke:var(--muted);stroke-width:1.5}
.fill-1{fill:var(--refused)}.fill-3{fill:var(--lost)}.fill-4{fill:var(--unresolved)}
.cut{fill:var(--surface)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;list-style:none;margin:.3rem 0 .5rem;padding:0;
font-size:.85rem;color:var(--muted)}
.legend svg.key{height:.7em;width:2.1em;vertical-align:0}
)";
}

}  // namespace evpool::bench
