// "Did you mean ...?" for a name that is not known: a job, a flag. Thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace evpool {

// " (did you mean 'upper'?)" when one of `known` is close to `name` by edit distance; otherwise
// empty. Names longer than 32 bytes get no suggestion, so that the work is bounded.
[[nodiscard]] std::string suggest(std::string_view name, std::span<const std::string> known);

}  // namespace evpool
