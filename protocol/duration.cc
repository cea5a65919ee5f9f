#include "protocol/duration.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <stdexcept>

namespace evpool {
namespace {

struct Unit {
  std::string_view suffix;
  std::uint64_t milliseconds;
};

// Largest first, for to_string.
constexpr std::array<Unit, 4> kUnits = {{{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw std::invalid_argument("'" + std::string(text) + "' is no duration: " + std::string(why) +
                              " (expected such as 200ms, 2s, 1m or 1h)");
}

}  // namespace

std::chrono::milliseconds parse_duration(std::string_view text) {
  std::uint64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, count);
  if (error == std::errc::invalid_argument) refuse(text, "it does not start with a whole number");
  const std::string_view suffix(stop, static_cast<std::size_t>(end - stop));
  if (suffix.empty()) refuse(text, "the unit is missing");
  for (const Unit& unit : kUnits) {
    if (suffix != unit.suffix) continue;
    if (error == std::errc::result_out_of_range || count > UINT32_MAX / unit.milliseconds) {
      refuse(text, "it is longer than 49 days");
    }
    return std::chrono::milliseconds(count * unit.milliseconds);
  }
  refuse(text, "the unit is not one of ms, s, m, h");
}

std::string to_string(std::chrono::milliseconds duration) {
  const auto count = static_cast<std::uint64_t>(duration.count());
  for (const Unit& unit : kUnits) {
    if (count != 0 && count % unit.milliseconds == 0) {
      return std::to_string(count / unit.milliseconds) + std::string(unit.suffix);
    }
  }
  return "0s";
}

}  // namespace evpool
