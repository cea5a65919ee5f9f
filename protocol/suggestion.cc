#include "protocol/suggestion.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace evpool {
namespace {

constexpr std::size_t kMaxNameBytes = 32;

// Levenshtein's distance, one row at a time (Wagner and Fischer, 1974).
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::array<std::size_t, kMaxNameBytes + 1> row{};
  for (std::size_t j = 0; j <= to.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i - 1] == to[j - 1] ? 0U : 1U);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[to.size()];
}

}  // namespace

std::string suggest(std::string_view name, std::span<const std::string> known) {
  if (name.size() > kMaxNameBytes) return {};
  // A third of the name may be wrong: one letter in three, two in six.
  std::size_t nearest_distance = name.size() / 3 + 1;
  const std::string* nearest = nullptr;
  for (const std::string& candidate : known) {
    if (candidate.size() > kMaxNameBytes) continue;
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < nearest_distance) {
      nearest_distance = distance;
      nearest = &candidate;
    }
  }
  return nearest == nullptr ? std::string{} : " (did you mean '" + *nearest + "'?)";
}

}  // namespace evpool
