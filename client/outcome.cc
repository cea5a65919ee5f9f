#include "client/outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "console/printable.h"

namespace evpool {
namespace {

Exit exit_of(const CallResult& result) {
  switch (result.state) {
    case CallState::replied:
      return result.ok() ? Exit::ok : Exit::job_failed;
    case CallState::timed_out:
      return Exit::timeout;
    case CallState::connection_lost:
      return Exit::cannot_connect;
    case CallState::protocol_error:
      return Exit::protocol;
  }
  return Exit::protocol;
}

std::string_view outcome_of(const CallResult& result) {
  switch (result.state) {
    case CallState::replied:
      return name_of(result.status);
    case CallState::timed_out:
      return "timed_out";
    case CallState::connection_lost:
      return "connection_lost";
    case CallState::protocol_error:
      return "protocol_error";
  }
  return "unknown";
}

std::string to_hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

}  // namespace

Outcome describe(CallResult&& result) {
  return {.name = outcome_of(result),
          .ok = result.ok(),
          .text = std::move(result.payload),
          .exit = exit_of(result),
          .goes_on = result.state == CallState::replied || result.state == CallState::timed_out};
}

std::string to_json(const Outcome& outcome) {
  nlohmann::ordered_json object;
  object["status"] = outcome.name;
  const char* const key = outcome.ok ? "payload" : "message";
  object[key] = outcome.text;
  try {
    return printable_json(object.dump());
  } catch (const nlohmann::json::type_error&) {
    object.erase(key);
    object[fmt::format("{}_hex", key)] = to_hex(outcome.text);
    return object.dump();
  }
}

std::string jobs_to_json(std::string_view list) {
  nlohmann::ordered_json jobs = nlohmann::ordered_json::array();
  while (!list.empty()) {
    const std::string_view line = list.substr(0, list.find('\n'));
    list.remove_prefix(std::min(list.size(), line.size() + 1));
    const std::string_view name = line.substr(0, line.find(' '));
    std::string_view description = line.substr(name.size());
    description.remove_prefix(std::min(description.find_first_not_of(' '), description.size()));
    if (name.empty()) continue;
    jobs.push_back({{"name", name}, {"description", description}});
  }
  // Names that are not UTF-8 are shown with replacement characters.
  return printable_json(jobs.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace evpool
