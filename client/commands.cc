#include "client/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "client/client.h"
#include "client/line_reader.h"
#include "console/diagnostic.h"

namespace evpool {
namespace {

using Clock = std::chrono::steady_clock;

// Enough to keep a server busy, and far from its bounds.
constexpr std::size_t kMapWindow = 256;

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

// How a request ended.
struct Outcome {
  std::string_view name;
  bool ok = false;
  std::string text;  // the payload if ok, otherwise the reason
  Exit exit = Exit::ok;
  bool goes_on = true;  // whether there is use in waiting for others
};

Outcome describe(CallResult&& result) {
  return {.name = outcome_of(result),
          .ok = result.ok(),
          .text = std::move(result.payload),
          .exit = exit_of(result),
          .goes_on = result.state == CallState::replied || result.state == CallState::timed_out};
}

// {"status":"ok","payload":"HELLO"}; bytes that are no UTF-8 as {"payload_hex":"ff00"}; what is not
// ok has a "message".
std::string to_json(const Outcome& outcome) {
  nlohmann::ordered_json object;
  object["status"] = outcome.name;
  const char* const key = outcome.ok ? "payload" : "message";
  object[key] = outcome.text;
  try {
    return object.dump();
  } catch (const nlohmann::json::type_error&) {
    object.erase(key);
    object[fmt::format("{}_hex", key)] = to_hex(outcome.text);
    return object.dump();
  }
}

void print(std::string_view text) {
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stdout));
}

void print_error(const std::string& where, const Outcome& outcome) {
  complain("evpool", fmt::format("{}{}: {}", where, outcome.name, outcome.text));
}

Client connect(const CommandOptions& options) {
  return Client(options.server, {.udp = options.udp, .connect_timeout = options.timeout});
}

CallOptions call_options(const CommandOptions& options) {
  return {
      .timeout = options.timeout, .priority = Priority::normal, .idempotent = options.idempotent};
}

Exit call(const CommandOptions& options) {
  Client client = connect(options);
  const std::string payload = options.payload ? *options.payload : LineReader(STDIN_FILENO).rest();
  const Outcome outcome = describe(client.call(options.job, payload, call_options(options)));
  if (options.json) {
    print(to_json(outcome) + "\n");
  } else if (outcome.ok) {
    print(outcome.text);
    if (options.payload) print("\n");
  } else {
    print_error(options.job + ": ", outcome);
  }
  return outcome.exit;
}

// Replies leave in the order of the lines, one line each: an empty one for a job that failed or
// could not be sent, whose reason goes to standard error.
class Map {
 public:
  explicit Map(const CommandOptions& options) : options_(options), client_(connect(options)) {}

  Exit run() {
    LineReader lines(STDIN_FILENO);
    for (;;) {
      // Whoever types the lines wants to see each reply before the next line.
      if (in_flight_.size() >= kMapWindow || (!in_flight_.empty() && !lines.ready())) {
        if (!take_oldest()) return exit_;
        if (in_flight_.empty()) std::fflush(stdout);
        continue;
      }
      const auto line = lines.next();
      if (!line) break;
      in_flight_.push_back(send(*line));
    }
    while (!in_flight_.empty()) {
      if (!take_oldest()) return exit_;
    }
    return exit_;
  }

 private:
  struct Line {
    std::optional<Client::RequestId> request;
    std::string why_not_sent;
  };

  Line send(const std::string& line) {
    try {
      return {.request = client_.send(options_.job, line, call_options(options_)),
              .why_not_sent = {}};
    } catch (const std::invalid_argument& error) {
      return {.request = std::nullopt, .why_not_sent = error.what()};
    }
  }

  Outcome wait(Line&& line) {
    if (!line.request) {
      return {.name = "not_sent", .text = std::move(line.why_not_sent), .exit = Exit::input};
    }
    // Whoever reads the replies gets those that are there before the next one is waited for.
    if (!client_.ready(*line.request)) std::fflush(stdout);
    return describe(client_.wait(*line.request));
  }

  // False when there is no use in going on.
  bool take_oldest() {
    const Outcome outcome = wait(std::move(in_flight_.front()));
    in_flight_.pop_front();
    ++answered_lines_;
    if (options_.json) {
      print(to_json(outcome) + "\n");
    } else {
      print((outcome.ok ? outcome.text : "") + "\n");
      if (!outcome.ok) print_error(fmt::format("line {}: ", answered_lines_), outcome);
    }
    if (exit_ == Exit::ok || !outcome.goes_on) exit_ = outcome.exit;
    return outcome.goes_on;
  }

  const CommandOptions& options_;
  Client client_;
  std::deque<Line> in_flight_;
  std::size_t answered_lines_ = 0;
  Exit exit_ = Exit::ok;
};

Exit list_jobs(CommandOptions options) {
  options.job = "jobs";
  options.payload = "";
  options.idempotent = true;
  return call(options);
}

Exit ping(const CommandOptions& options) {
  Client client = connect(options);
  const auto begin = Clock::now();
  const Outcome outcome = describe(client.ping(options.timeout));
  const std::chrono::duration<double, std::milli> elapsed = Clock::now() - begin;
  if (options.json) {
    nlohmann::ordered_json object = {{"status", outcome.name}};
    if (outcome.ok) {
      object["round_trip_ms"] = elapsed.count();
    } else {
      object["message"] = outcome.text;
    }
    print(object.dump() + "\n");
  } else if (outcome.ok) {
    print(fmt::format("pong from {} {} in {:.3f} ms\n", options.udp ? "udp" : "tcp",
                      to_string(options.server), elapsed.count()));
  } else {
    print_error("ping: ", outcome);
  }
  return outcome.exit;
}

}  // namespace

Exit run_command(const CommandOptions& options) {
  switch (options.command) {
    case CommandOptions::Command::call:
      return call(options);
    case CommandOptions::Command::map:
      return Map(options).run();
    case CommandOptions::Command::jobs:
      return list_jobs(options);
    case CommandOptions::Command::ping:
      return ping(options);
  }
  return Exit::usage;
}

}  // namespace evpool
