#include "bench/load/slo.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <stdexcept>

namespace evpool::bench {
namespace {

[[noreturn]] void refuse(std::string_view text) {
  throw std::invalid_argument(fmt::format(
      "'{}': expected bounds such as p99<2ms, p99.9<500us, max<1s, mean<1ms or loss<0.01%", text));
}

// The number in front, and what follows it.
double parse_leading(std::string_view text, std::string_view& unit, std::string_view whole) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || !(number >= 0) || std::isinf(number)) refuse(whole);
  unit = {stop, static_cast<std::size_t>(end - stop)};
  return number;
}

double parse_time_ns(std::string_view text, std::string_view whole) {
  std::string_view unit;
  const double number = parse_leading(text, unit, whole);
  if (number == 0) refuse(whole);  // no reply comes below that
  if (unit == "us") return number * 1e3;
  if (unit == "ms") return number * 1e6;
  if (unit == "s") return number * 1e9;
  refuse(whole);
}

double parse_loss(std::string_view text, std::string_view whole) {
  std::string_view unit;
  double share = parse_leading(text, unit, whole);
  if (unit == "%") share /= 100;
  if (!(unit == "%" || unit.empty()) || share > 1) refuse(whole);
  return share;
}

}  // namespace

Slo::Slo(std::string_view text) {
  for (std::string_view rest = text;;) {
    const std::string_view part = rest.substr(0, rest.find(','));
    const std::size_t less = part.find('<');
    if (less == std::string_view::npos) refuse(part);
    const std::string_view value = part.substr(less + 1);
    Bound bound;
    bound.name = part.substr(0, less);
    if (bound.name == "loss") {
      bound.kind = Bound::Kind::loss;
      bound.limit = parse_loss(value, part);
    } else {
      bound.limit = parse_time_ns(value, part);
      if (bound.name == "max") {
        bound.kind = Bound::Kind::max;
      } else if (bound.name == "mean") {
        bound.kind = Bound::Kind::mean;
      } else {
        std::string_view unit;
        if (!bound.name.starts_with('p')) refuse(part);
        bound.percent = parse_leading(std::string_view(bound.name).substr(1), unit, part);
        if (!unit.empty() || !(bound.percent > 0 && bound.percent <= 100)) refuse(part);
      }
    }
    bounds_.push_back(bound);
    if (part.size() == rest.size()) break;
    rest.remove_prefix(part.size() + 1);
  }
}

std::optional<std::string> Slo::broken_by(const LoadResult& result) const {
  for (const Bound& bound : bounds_) {
    double value = 0;
    switch (bound.kind) {
      case Bound::Kind::percentile:
        value = static_cast<double>(result.latency.percentile_ns(bound.percent));
        break;
      case Bound::Kind::max:
        value = static_cast<double>(result.latency.max_ns());
        break;
      case Bound::Kind::mean:
        value = result.latency.mean_ns();
        break;
      case Bound::Kind::loss:
        // A bound of 0 allows none, so it is the only one that may be reached.
        value = loss_of(result);
        if (value < bound.limit || value == 0) continue;
        return fmt::format("loss {:.4g} %", value * 100);
    }
    if (value >= bound.limit) return fmt::format("{} {:.3f} ms", bound.name, value / 1e6);
  }
  return std::nullopt;
}

double loss_of(const LoadResult& result) {
  const Account& account = result.account;
  if (account.scheduled == 0) return 0;
  return static_cast<double>(account.scheduled - account.ok) /
         static_cast<double>(account.scheduled);
}

}  // namespace evpool::bench
