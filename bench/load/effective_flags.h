// Finds which of a compiler's flags had an effect. Thread-safe.
#pragma once

#include <cstddef>
#include <sstream>
#include <string>

namespace evpool::bench {

// The compiler takes the last of several optimisation levels, and so does this: "-O2 -Wall -O3"
// is "-Wall -O3". Words are separated by single spaces.
[[nodiscard]] inline std::string effective_flags(const std::string& flags) {
  const auto is_level = [](const std::string& word) { return word.starts_with("-O"); };
  std::size_t levels = 0;
  std::istringstream counted(flags);
  for (std::string word; counted >> word;) levels += is_level(word) ? 1 : 0;
  std::string effective;
  std::istringstream words(flags);
  for (std::string word; words >> word;) {
    if (is_level(word) && levels-- > 1) continue;
    if (!effective.empty()) effective += ' ';
    effective += word;
  }
  return effective;
}

}  // namespace evpool::bench
