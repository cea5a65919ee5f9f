// What became of a request, in the words of the command evpool. One thread.
#pragma once

#include <string>
#include <string_view>

#include "client/client.h"
#include "client/command_options.h"

namespace evpool {

struct Outcome {
  std::string_view name;  // "ok", "not_found", "timed_out", "not_sent", ...
  bool ok = false;
  std::string text;  // the payload if ok, otherwise the reason
  Exit exit = Exit::ok;
  bool goes_on = true;  // whether there is use in waiting for others
};

[[nodiscard]] Outcome describe(CallResult&& result);

// {"status":"ok","payload":"HELLO"}; bytes that are not UTF-8 as {"payload_hex":"ff00"}; any other
// status has a "message" instead. Without characters that a terminal obeys.
[[nodiscard]] std::string to_json(const Outcome& outcome);

// The reply of the job `jobs`, a line "name  description" for each, as a JSON array of
// {"name":...,"description":...}. A line without a description has an empty one.
[[nodiscard]] std::string jobs_to_json(std::string_view list);

}  // namespace evpool
