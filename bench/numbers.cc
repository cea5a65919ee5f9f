#include "bench/numbers.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <stdexcept>

#include "bench/load/load_options.h"

namespace evpool::bench {
namespace {

constexpr std::uint64_t kThousand = 1'000;
constexpr std::uint64_t kBinaryThousand = 1'024;

[[noreturn]] void refuse(std::string_view text, std::string_view expected) {
  throw std::invalid_argument(fmt::format("'{}': expected {}", text, expected));
}

// What the suffix multiplies by; none: it is no suffix.
std::optional<std::uint64_t> factor_of(std::string_view suffix, std::uint64_t thousand) {
  if (suffix.empty()) return 1;
  std::uint64_t power = 0;
  switch (suffix.front()) {
    case 'k':
    case 'K':
      power = 1;
      break;
    case 'M':
      power = 2;
      break;
    case 'G':
      power = 3;
      break;
    default:
      return std::nullopt;
  }
  suffix.remove_prefix(1);
  if (suffix == "i") thousand = kBinaryThousand;
  if (!suffix.empty() && suffix != "i") return std::nullopt;
  std::uint64_t factor = 1;
  for (; power > 0; --power) factor *= thousand;
  return factor;
}

// Exact, so that no count is rounded in silence. None: it is not such a number, or too large.
std::optional<std::uint64_t> whole_number_in(std::string_view text, std::uint64_t thousand) {
  const char* const end = text.data() + text.size();
  std::uint64_t whole = 0;
  auto [stop, error] = std::from_chars(text.data(), end, whole);
  if (error != std::errc{}) return std::nullopt;
  std::uint64_t fraction = 0;  // of `parts`
  std::uint64_t parts = 1;
  if (stop != end && *stop == '.') {
    constexpr std::ptrdiff_t kMostDigits = 9;  // so that `fraction * factor` fits
    const auto decimals = std::from_chars(stop + 1, end, fraction);
    const std::ptrdiff_t digits = decimals.ptr - (stop + 1);
    if (decimals.ec != std::errc{} || digits > kMostDigits) return std::nullopt;
    for (std::ptrdiff_t i = 0; i < digits; ++i) parts *= 10;
    stop = decimals.ptr;
  }
  const auto factor = factor_of({stop, static_cast<std::size_t>(end - stop)}, thousand);
  if (!factor || fraction * *factor % parts != 0) return std::nullopt;
  std::uint64_t number = 0;
  if (__builtin_mul_overflow(whole, *factor, &number) ||
      __builtin_add_overflow(number, fraction * *factor / parts, &number)) {
    return std::nullopt;
  }
  return number;
}

// None: it is not a number.
std::optional<double> number_in(std::string_view text, std::uint64_t thousand) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || !std::isfinite(number)) return std::nullopt;
  const auto factor = factor_of({stop, static_cast<std::size_t>(end - stop)}, thousand);
  if (!factor) return std::nullopt;
  number *= static_cast<double>(*factor);
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

}  // namespace

std::uint64_t parse_count(std::string_view text, std::uint64_t least, std::uint64_t most) {
  const auto number = whole_number_in(text, kThousand);
  if (!number || *number < least || *number > most) {
    refuse(text, fmt::format("a whole number from {} to {}, or one such as 20k or 1.5M",
                             grouped(least), grouped(most)));
  }
  return *number;
}

std::uint64_t parse_bytes(std::string_view text, std::uint64_t most) {
  const auto number = whole_number_in(text, kBinaryThousand);
  if (!number || *number > most) {
    refuse(text,
           fmt::format("a number of bytes up to {}, or one such as 64K (65,536)", grouped(most)));
  }
  return *number;
}

double parse_rate(std::string_view text) {
  const auto rate = number_in(text, kThousand);
  if (!rate || !(*rate > 0 && *rate <= kMostRate)) {
    refuse(text,
           "a number above 0 and up to 1e9, one request a nanosecond; 20k and 1.5M are numbers, "
           "too");
  }
  return *rate;
}

double parse_positive(std::string_view text) {
  const auto number = number_in(text, kThousand);
  if (!number || !(*number > 0)) refuse(text, "a number above 0, such as 0.5, 99 or 20k");
  return *number;
}

double parse_positive_bytes(std::string_view text) {
  const auto number = number_in(text, kBinaryThousand);
  if (!number || !(*number > 0)) refuse(text, "a number of bytes above 0, such as 200.5 or 4K");
  return *number;
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string number_text(double number) {
  // From here on four digits leave no room for decimals, once rounded.
  constexpr double kWhole = 999.95;
  // Beyond, a double is not whole any more, and nobody counts so far.
  constexpr double kMostGrouped = 1e15;
  const double size = std::abs(number);
  if (!(size >= kWhole && size < kMostGrouped)) return fmt::format("{:.4g}", number);
  return (number < 0 ? "-" : "") + grouped(static_cast<std::uint64_t>(std::llround(size)));
}

}  // namespace evpool::bench
