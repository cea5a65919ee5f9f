#include "client/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "client/client.h"
#include "client/line_reader.h"
#include "client/map_command.h"
#include "client/outcome.h"
#include "client/output.h"
#include "client/session.h"
#include "console/diagnostic.h"
#include "console/printable.h"
#include "protocol/duration.h"

namespace evpool {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

void print(const std::string& text) {
  Output output(STDOUT_FILENO);
  output.reply(text);
  output.flush();
}

// As it is, or harmless when a terminal shows it.
void print_reply(std::string text, std::string_view end) {
  Output output(STDOUT_FILENO);
  if (output.is_terminal()) text = printable_lines(text);
  output.reply(text.append(end));
  output.flush();
}

void print_error(const std::string& where, const Outcome& outcome) {
  complain("evpool", fmt::format("{}: {}: {}", where, outcome.name, outcome.text));
}

// The timeout covers all that a command does with the server: looking it up, connecting, sending
// and waiting for the reply.
class Errand {
 public:
  explicit Errand(const CommandOptions& options)
      : options_(options),
        deadline_(Clock::now() + options.timeout),
        client_(options.server, client_options(options)) {}

  CallResult call(const std::string& job, const std::string& payload, bool idempotent) {
    return named(client_.call(
        job, payload, {.timeout = left(), .priority = Priority::normal, .idempotent = idempotent}));
  }

  CallResult ping() { return named(client_.ping(left())); }

 private:
  [[nodiscard]] milliseconds left() const {
    return std::max(std::chrono::ceil<milliseconds>(deadline_ - Clock::now()), milliseconds(1));
  }

  // Speaks of the timeout that was asked for, not of what was left of it.
  [[nodiscard]] CallResult named(CallResult&& result) const {
    if (result.state == CallState::timed_out) {
      result.payload = fmt::format("no reply from {} {} within {}", options_.udp ? "udp" : "tcp",
                                   to_string(options_.server), to_string(options_.timeout));
    }
    return std::move(result);
  }

  const CommandOptions& options_;
  const Clock::time_point deadline_;
  Client client_;
};

std::string payload_from_input(const CommandOptions& options) {
  const std::size_t longest = longest_payload(options);
  std::optional<std::string> payload = LineReader(STDIN_FILENO, longest).rest();
  if (!payload) {
    throw std::invalid_argument(too_large_to_send(options, fmt::format("more than {}", longest)));
  }
  return std::move(*payload);
}

// The payload's memory, and the client's, are given back before the reply is printed.
Outcome send_job(const CommandOptions& options) {
  // First, as it may take any time: a server need not wait for it, and no timeout counts it.
  const std::string payload = options.payload ? *options.payload : payload_from_input(options);
  return describe(Errand(options).call(options.job, payload, options.idempotent));
}

Exit call(const CommandOptions& options) {
  Outcome outcome = send_job(options);
  if (options.json) {
    print(to_json(outcome) + "\n");
  } else if (outcome.ok) {
    print_reply(std::move(outcome.text), options.payload ? "\n" : "");
  } else {
    print_error(options.job, outcome);
  }
  return outcome.exit;
}

Exit list_jobs(const CommandOptions& options) {
  Outcome outcome = describe(Errand(options).call("jobs", "", true));
  if (options.json) {
    print((outcome.ok ? jobs_to_json(outcome.text) : to_json(outcome)) + "\n");
  } else if (outcome.ok) {
    print_reply(std::move(outcome.text), "\n");
  } else {
    print_error("jobs", outcome);
  }
  return outcome.exit;
}

Exit ping(const CommandOptions& options) {
  CallResult result = Errand(options).ping();
  const std::chrono::duration<double, std::milli> elapsed = result.ended_at - result.sent_at;
  const Outcome outcome = describe(std::move(result));
  if (options.json && outcome.ok) {
    const nlohmann::ordered_json object = {{"status", outcome.name},
                                           {"round_trip_ms", elapsed.count()}};
    print(object.dump() + "\n");
  } else if (options.json) {
    print(to_json(outcome) + "\n");
  } else if (outcome.ok) {
    print(fmt::format("pong from {} {} in {:.3f} ms\n", options.udp ? "udp" : "tcp",
                      printable(to_string(options.server)), elapsed.count()));
  } else {
    print_error("ping", outcome);
  }
  return outcome.exit;
}

}  // namespace

Exit run_command(const CommandOptions& options) {
  if (options.command == CommandOptions::Command::map) return run_map(options);
  try {
    if (options.command == CommandOptions::Command::jobs) return list_jobs(options);
    if (options.command == CommandOptions::Command::ping) return ping(options);
    return call(options);
  } catch (const OutputError& error) {
    complain("evpool", fmt::format("{}; the reply was not printed", error.what()));
    return Exit::input;
  }
}

}  // namespace evpool
