// evpool's command line. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "protocol/address.h"
#include "protocol/constants.h"

namespace evpool {

// The command's exit statuses.
enum class Exit : int {
  ok = 0,
  job_failed = 1,  // any reply but ok
  usage = 2,
  cannot_connect = 3,  // or the connection was lost
  timeout = 4,
  protocol = 5,
  input = 6,  // standard input or a payload is unusable, or standard output can't be written
};

struct CommandOptions {
  enum class Command { call, map, jobs, ping };

  Command command = Command::call;
  Address server{"127.0.0.1", 6666};
  bool udp = false;
  std::chrono::milliseconds timeout{10'000};
  bool json = false;
  bool idempotent = false;
  std::uint32_t max_payload = kDefaultMaxPayloadBytes;
  // Of `map`: how many, or 0: as many as are good for the server. It answers `busy` beyond the
  // most.
  static constexpr std::size_t kMostInFlight = 8'192;
  std::size_t in_flight = 0;
  bool keep_going = false;
  std::string job;
  std::optional<std::string> payload;  // none: from standard input
};

// Fills `options`. Returns the status to exit with when there is nothing to do: the help or the
// version was asked for and is in stdout's buffer, or the usage was wrong and has been explained.
[[nodiscard]] std::optional<Exit> parse_command_line(int argc, const char* const* argv,
                                                     CommandOptions& options);

}  // namespace evpool
