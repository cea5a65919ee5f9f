// What a handler is given and what it gives back. Values, owned by whoever holds them.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "../protocol/constants.h"

namespace evpool {

using Clock = std::chrono::steady_clock;

struct Request {
  std::string job;
  std::string payload;  // the handler may move it into its reply
  Priority priority = Priority::normal;
  // Not started by then, it is answered `expired`; a handler that runs long may look for itself.
  Clock::time_point deadline;
  // Stop is requested when the server's drain has run out of time; a handler that can end early
  // should then do so.
  std::stop_token stop;
};

struct Reply {
  Status status = Status::ok;
  std::string payload;  // the result; for any status but ok, a sentence for people

  static Reply ok(std::string payload) {
    return {.status = Status::ok, .payload = std::move(payload)};
  }
  static Reply failed(std::string why) {
    return {.status = Status::failed, .payload = std::move(why)};
  }
};

}  // namespace evpool
