// How evpool writes a length of time, everywhere: a whole number and a unit, `200ms`, `2s`, `1m`,
// `1h`. Thread-safe.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace evpool {

// Throws std::invalid_argument with a sentence that says what is wrong and what is expected. The
// longest duration is what 32 bits of milliseconds hold, about 49 days.
[[nodiscard]] std::chrono::milliseconds parse_duration(std::string_view text);

// In the largest unit that is exact.
[[nodiscard]] std::string to_string(std::chrono::milliseconds duration);

}  // namespace evpool
