// Line plots and bars as SVG elements inside an HTML page, styled by plot_style(): no script, no
// fonts, nothing fetched. Each style of line has its own colour and its own dashes, and each
// picture says in words what it shows. All functions are thread-safe; a point that is not finite is
// a gap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evpool::bench {

struct Tick {
  double at = 0;
  std::string label;  // empty: a line of the grid only
};

struct Axis {
  double least = 0;
  double most = 1;
  bool logarithmic = false;  // then least > 0
  std::string caption;
  std::vector<Tick> ticks;
};

// Logarithmic, in nanoseconds, ending at round values; labelled "20 µs", "1 ms", "5 s".
[[nodiscard]] Axis latency_axis(double least_ns, double most_ns);
// From 0 to a round value; labelled "20k", "1.5M".
[[nodiscard]] Axis rate_axis(double most, std::string caption);
// Exactly from `least` to `most`; labelled "10 s".
[[nodiscard]] Axis seconds_axis(double least, double most, std::string caption);
// Percentiles at place_of_quantile(), up to where `count` values still tell them apart.
[[nodiscard]] Axis percentile_axis(std::uint64_t count);
// 0.9 is at 1, 0.99 at 2, 0.999 at 3. REQUIRES: 0 <= quantile < 1.
[[nodiscard]] double place_of_quantile(double quantile);

struct PlotPoint {
  double x = 0;
  double y = 0;
  std::string note = {};  // shown when a mouse rests on it
  bool doubtful = false;  // drawn as a hollow square
};

// At each point of a line.
enum class Mark : std::uint8_t { none, circle, up, down };  // the last two: triangles

struct PlotLine {
  std::string name;
  std::size_t style = 0;  // below kLineStyles
  std::vector<PlotPoint> points;
  Mark mark = Mark::none;
};
inline constexpr std::size_t kLineStyles = 5;

struct Plot {
  std::string id;  // unique in its page
  std::string title;
  std::string description;
  Axis x;
  Axis y;
  std::vector<PlotLine> lines;
  std::optional<double> shaded_until = {};  // from the left edge; what is not measured
};

[[nodiscard]] std::string draw_plot(const Plot& plot);
// The names of a plot's lines beside a piece of each, as an HTML list.
[[nodiscard]] std::string draw_legend(const std::vector<PlotLine>& lines);

struct BarPart {
  std::uint64_t count = 0;
  std::size_t style = 0;  // below kBarStyles; the first is for what went well
};
inline constexpr std::size_t kBarStyles = 6;

// Lengths in proportion, but never so short that a part which is not 0 cannot be seen.
[[nodiscard]] std::string draw_bar(std::string_view id, std::string_view title,
                                   std::string_view description, const std::vector<BarPart>& parts);
// A piece of a bar, for a table that explains it.
[[nodiscard]] std::string draw_bar_key(std::size_t style);
// What the bars' patterns refer to; once in a page, before the first bar.
[[nodiscard]] std::string_view bar_patterns();

// CSS for all of the above. Uses the page's variables --text, --muted, --surface and --rule.
[[nodiscard]] std::string_view plot_style();

// For text between tags and in quoted attributes; control characters are replaced.
[[nodiscard]] std::string escape_html(std::string_view text);
// "812 ns", "81.2 µs", "1.25 ms", "3.00 s"
[[nodiscard]] std::string duration_text(double nanoseconds);

}  // namespace evpool::bench
