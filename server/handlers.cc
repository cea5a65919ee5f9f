#include "server/handlers.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "protocol/suggestion.h"

namespace evpool {
namespace {

bool is_printable_word(std::string_view name) {
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return c > ' ' && c != 0x7F; });
}

}  // namespace

void Handlers::add(std::string name, std::string description, Handler handler) {
  if (name.empty() || name.size() > kMaxJobNameBytes || !is_printable_word(name)) {
    throw std::invalid_argument(fmt::format(
        "cannot register job '{}': a name is 1 to {} bytes without spaces or control characters",
        name, kMaxJobNameBytes));
  }
  if (!handler)
    throw std::invalid_argument(fmt::format("cannot register job '{}': no handler", name));
  if (entries_.contains(name)) {
    throw std::invalid_argument(fmt::format("cannot register job '{}': the name is taken", name));
  }
  entries_.emplace(std::move(name), Entry{std::move(description), std::move(handler)});
}

const Handler* Handlers::find(std::string_view name) const {
  const auto entry = entries_.find(name);
  return entry == entries_.end() ? nullptr : &entry->second.handler;
}

void Handlers::for_each(const std::function<void(std::string_view, const Handler&)>& visit) const {
  for (const auto& [name, entry] : entries_) visit(name, entry.handler);
}

std::string Handlers::explain_missing(std::string_view name, bool with_suggestion) const {
  if (!with_suggestion) return fmt::format("no job '{}'", name);
  std::vector<std::string> known;
  for (const auto& [known_name, entry] : entries_) known.push_back(known_name);
  return fmt::format("no job '{}'{}", name, suggest(name, known));
}

std::string Handlers::list() const {
  std::size_t width = 0;
  for (const auto& [name, entry] : entries_) width = std::max(width, name.size());
  std::string lines;
  for (const auto& [name, entry] : entries_) {
    lines += fmt::format("{:<{}}  {}\n", name, width, entry.description);
  }
  if (!lines.empty()) lines.pop_back();
  return lines;
}

}  // namespace evpool
