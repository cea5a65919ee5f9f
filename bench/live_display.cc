#include "bench/live_display.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>

namespace evpool::bench {
namespace {

constexpr std::size_t kDefaultColumns = 80;
// A shorter sparkline says nothing.
constexpr std::size_t kLeastSparks = 4;

// "999", "1.23k", "12.3M": at most five characters up to 999G.
std::string short_count(double count) {
  if (count < 999.5) return fmt::format("{:.0f}", count);
  constexpr const char* kUnits[] = {"k", "M", "G"};
  std::size_t unit = 0;
  for (count /= 1e3; count >= 999.5 && unit + 1 < std::size(kUnits); count /= 1e3) ++unit;
  const int decimals = count < 9.995 ? 2 : count < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", count, decimals, kUnits[unit]);
}

// "840ns", "1.2ms", "30ms".
std::string short_duration(std::uint64_t duration_ns) {
  constexpr const char* kUnits[] = {"ns", "us", "ms", "s"};
  if (duration_ns < 1'000) return fmt::format("{}ns", duration_ns);
  auto value = static_cast<double>(duration_ns);
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(kUnits); value /= 1e3) ++unit;
  return fmt::format("{:.{}f}{}", value, value < 9.95 ? 1 : 0, kUnits[unit]);
}

// "12s", "3m05s".
std::string time_left(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::ceil(seconds));
  return whole < 60 ? fmt::format("{}s", whole) : fmt::format("{}m{:02}s", whole / 60, whole % 60);
}

std::string sparkline(const std::deque<double>& rates, std::size_t most) {
  constexpr const char* kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::size_t shown = std::min(most, rates.size());
  const auto first = rates.end() - static_cast<std::ptrdiff_t>(shown);
  const double greatest = shown == 0 ? 0 : *std::max_element(first, rates.end());
  std::string line;
  for (auto rate = first; rate != rates.end(); ++rate) {
    const double height = greatest > 0 ? std::clamp(*rate / greatest, 0.0, 1.0) : 0;
    line += kBlocks[static_cast<std::size_t>(std::lround(height * (std::size(kBlocks) - 1)))];
  }
  return line;
}

// The first `columns` characters of a UTF-8 text of which each is one column wide.
std::string cut(const std::string& text, std::size_t columns) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool continues = (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U;
    if (!continues && characters++ == columns) return text.substr(0, i);
  }
  return text;
}

}  // namespace

double rate_of(const IntervalRow& interval) {
  return interval.length_s > 0 ? static_cast<double>(interval.ok) / interval.length_s : 0;
}

std::string live_line(const Progress& progress, const std::deque<double>& rates,
                      std::size_t columns) {
  const IntervalRow& interval = progress.interval;
  const auto latency = [&](std::uint64_t value_ns) {
    return interval.ok > 0 ? short_duration(value_ns) : std::string("-");
  };
  const std::string head = short_count(rate_of(interval)) + "/s";
  std::string tail = fmt::format("  p50 {} p99 {} max {}  in flight {}", latency(interval.p50_ns),
                                 latency(interval.p99_ns), latency(interval.max_ns),
                                 short_count(static_cast<double>(interval.in_flight)));
  const auto add_if_any = [&tail](const char* name, std::uint64_t count) {
    if (count > 0) tail += fmt::format("  {} {}", name, short_count(static_cast<double>(count)));
  };
  add_if_any("refused", interval.refused);
  add_if_any("lost", interval.lost);
  add_if_any("wrong", interval.wrong);
  if (interval.lag_max_ns > 0) tail += "  lag " + short_duration(interval.lag_max_ns);
  if (std::isfinite(progress.left_s) && progress.left_s >= 0) {
    tail += fmt::format("  {} left", time_left(progress.left_s));
  }

  const std::size_t text_columns = head.size() + tail.size();
  std::string line = head;
  if (text_columns + 1 + kLeastSparks <= columns && !rates.empty()) {
    line += " " + sparkline(rates, std::min(kLiveRates, columns - text_columns - 1));
  }
  return cut(line + tail, columns);
}

void LiveDisplay::show(const Progress& progress) {
  if (!is_terminal_) return;
  rates_.push_back(rate_of(progress.interval));
  if (rates_.size() > kLiveRates) rates_.pop_front();
  // Not the last column: some terminals go on to the next line when it is written.
  std::fputs(fmt::format("\r{}\x1b[K", live_line(progress, rates_, columns() - 1)).c_str(), to_);
  std::fflush(to_);
  shown_ = true;
}

void LiveDisplay::clear() {
  if (!shown_) return;
  std::fputs("\r\x1b[K", to_);
  std::fflush(to_);
  shown_ = false;
}

std::size_t LiveDisplay::columns() const {
  winsize size{};
  if (ioctl(fileno(to_), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultColumns;
  return size.ws_col;
}

}  // namespace evpool::bench
