#include "bench/run_conditions.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace evpool::bench {
namespace {

using nlohmann::json;

// The members of `object` but those in `without`, each value by its path.
void add(const json& object, const std::string& name, const std::set<std::string_view>& without,
         RunConditions& conditions) {
  if (!object.is_object()) return;
  for (const auto& [key, value] : object.items()) {
    if (without.contains(key)) continue;
    if (!value.is_structured() || value.empty()) {
      conditions[fmt::format("{}.{}", name, key)] = value;
      continue;
    }
    const json leaves = value.flatten();
    for (const auto& [pointer, leaf] : leaves.items()) {
      std::string path = pointer;  // "/0/size/bytes"
      std::replace(path.begin(), path.end(), '/', '.');
      conditions[fmt::format("{}.{}{}", name, key, path)] = leaf;
    }
  }
}

const json& value_at(const RunConditions& conditions, const std::string& name) {
  static const json kNone;
  const auto found = conditions.find(name);
  return found == conditions.end() ? kNone : found->second;
}

std::string text_of(const json& value) {
  if (value.is_null() || (value.is_structured() && value.empty())) return "none";
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

RunConditions conditions_of(const json& result) {
  RunConditions conditions;
  add(result.value("options", json()), "options", {"server", "seed"}, conditions);
  add(result.value("provenance", json()), "provenance",
      {"date", "argv", "seed", "commit", "compiler", "flags", "server flags", "threadpool flags"},
      conditions);
  return conditions;
}

std::vector<Difference> differences_between(const RunConditions& a, const RunConditions& b) {
  std::set<std::string> names;
  for (const RunConditions* conditions : {&a, &b}) {
    for (const auto& [name, value] : *conditions) names.insert(name);
  }
  std::vector<Difference> differences;
  for (const std::string& name : names) {
    const json& in_a = value_at(a, name);
    const json& in_b = value_at(b, name);
    if (in_a != in_b) differences.push_back({name, in_a, in_b});
  }
  return differences;
}

std::string to_string(const Difference& difference, const std::string& name_a,
                      const std::string& name_b) {
  return fmt::format("{} is {} in {} and {} in {}", difference.name, text_of(difference.a), name_a,
                     text_of(difference.b), name_b);
}

}  // namespace evpool::bench
