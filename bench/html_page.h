// The pieces of which the pages for browsers are made. They append to the page; all text is escaped
// in here, but for what append() formats and for what says `html`. Thread-safe.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/load/account.h"
#include "bench/load/latency_histogram.h"
#include "bench/load/load_result.h"
#include "bench/load/provenance.h"
#include "bench/svg_plot.h"

namespace evpool::bench {

// Text from outside has to go through escape_html() first.
template <typename... Arguments>
void append(std::string& html, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  fmt::format_to(std::back_inserter(html), format, std::forward<Arguments>(arguments)...);
}

// Where a number would be, had anything been measured.
inline constexpr std::string_view kNothing = "–";

[[nodiscard]] std::string latency_or_nothing(const LatencyHistogram& histogram, double percent);
// With as many digits as it takes to tell a part from nothing and from the whole.
[[nodiscard]] std::string share_text(std::uint64_t part, std::uint64_t whole);
[[nodiscard]] std::string rate_text(const LoadResult& result);

// Up to <main>, with the style sheet and the bars' patterns.
void open_page(std::string& html, std::string_view title);
void close_page(std::string& html);

// What stands above all else: a title, and a list of what there is to say. Nothing at all when the
// list is empty.
void append_alert(std::string& html, std::string_view title, const std::vector<std::string>& items);

// A table of names and values under a heading; nothing at all when there are none.
using Facts = std::vector<std::pair<std::string, std::string>>;
void append_facts(std::string& html, std::string_view title, const Facts& facts, bool numbers);
void append_provenance(std::string& html, const Provenance& provenance);

// What may have become of a scheduled request; together they make up all of them.
struct Fate {
  std::string name;
  std::uint64_t count;
  std::size_t style;
  std::string_view meaning;
};
[[nodiscard]] std::vector<Fate> fates_of(const Account& account);
[[nodiscard]] std::string account_bar(std::string_view id, const Account& account);

// A plot with its heading, its legend and a note in HTML.
void append_figure(std::string& html, const Plot& plot, std::string_view note_html);
// What the lines need, whatever is a gap in them; of nothing, from 1 µs to 1 ms.
[[nodiscard]] Axis latency_axis_of(const std::vector<PlotLine>& lines);
// "Latency: p50 81.2 µs, ..., max 3.01 ms."
[[nodiscard]] std::string describe_latencies(const LatencyHistogram& histogram);

}  // namespace evpool::bench
