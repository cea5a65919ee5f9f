#include "client/map_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "client/client.h"
#include "client/flight_window.h"
#include "client/line_reader.h"
#include "client/outcome.h"
#include "client/output.h"
#include "client/session.h"
#include "console/diagnostic.h"
#include "console/printable.h"

namespace evpool {
namespace {

// Payloads in flight are kept, so that what the server has not begun can be sent again.
constexpr std::size_t kMostBytesInFlight = std::size_t{4} << 20U;

// Replies leave in the order of the lines, one line each: an empty one for a job that failed or
// could not be sent, whose reason goes to standard error.
class Map {
 public:
  explicit Map(const CommandOptions& options)
      : options_(options),
        client_(options.server, client_options(options)),
        lines_(STDIN_FILENO, longest_payload(options)),
        output_(STDOUT_FILENO),
        window_(options.timeout) {}

  Exit run() {
    try {
      try {
        map_lines();
      } catch (const OutputError&) {
        throw;
      } catch (const std::exception&) {
        output_.flush();  // the replies from before the input failed, or memory ran out
        throw;
      }
      output_.flush();
      return exit_;
    } catch (const OutputError& error) {
      complain("evpool", error.what() + what_was_lost());
      return Exit::input;
    }
  }

 private:
  struct Line {
    std::string payload;  // or why it was not sent
    Client::RequestId request = 0;
    bool sent = false;
    bool alone = false;  // no other request of ours was in flight when it was sent
  };

  void map_lines() {
    for (;;) {
      // Whoever types the lines wants to see each reply before the next line.
      if (in_flight_.size() >= window() || (!in_flight_.empty() && !lines_.ready())) {
        if (!print_oldest()) return;
        if (in_flight_.empty()) output_.flush();
        continue;
      }
      std::optional<LineReader::Line> line = lines_.next();
      if (!line) break;
      while (!in_flight_.empty() && !has_room(line->text.size())) {
        if (!print_oldest()) return;
      }
      in_flight_.push_back(send(std::move(*line)));
    }
    while (!in_flight_.empty()) {
      if (!print_oldest()) return;
    }
  }

  [[nodiscard]] std::size_t window() const {
    return options_.in_flight != 0 ? options_.in_flight : window_.size();
  }

  [[nodiscard]] bool has_room(std::size_t payload_bytes) const {
    return client_.has_room(payload_bytes) &&
           bytes_in_flight_ + payload_bytes <= kMostBytesInFlight;
  }

  Line send(LineReader::Line&& read) {
    ++lines_read_;
    Line line;
    if (read.too_long) {
      line.payload = too_large_to_send(options_, std::to_string(read.bytes));
    } else {
      line.payload = std::move(read.text);
      try {
        send(line);
      } catch (const std::invalid_argument& error) {
        line.payload = error.what();
      }
    }
    bytes_in_flight_ += line.payload.size();
    return line;
  }

  void send(Line& line) {
    line.alone = client_.in_flight() == 0;
    line.request = client_.send(options_.job, line.payload,
                                {.timeout = options_.timeout,
                                 .priority = Priority::normal,
                                 .idempotent = options_.idempotent});
    line.sent = true;
  }

  // Waits for the oldest line's reply.
  CallResult wait(const Line& line) {
    // Whoever reads the replies gets those that are there before the next one is waited for.
    if (!client_.arrived(line.request)) output_.flush();
    CallResult result = client_.wait_in_turn(line.request);
    if (result.state == CallState::timed_out || result.status == Status::expired ||
        result.status == Status::busy) {
      window_.too_late(result.sent_at, result.ended_at);
    } else {
      window_.replied(result.sent_at, result.ended_at);
    }
    return result;
  }

  // The end of the oldest line. One that has expired behind others of ours, before it was begun, is
  // sent again: waiting its turn is not its time.
  Outcome finish(Line& line) {
    no_such_job_ = false;
    if (!line.sent) {
      return {.name = "not_sent", .text = line.payload, .exit = Exit::input};
    }
    for (;;) {
      CallResult result = wait(line);
      const bool expired = result.state == CallState::replied && result.status == Status::expired;
      no_such_job_ = result.state == CallState::replied && result.status == Status::not_found;
      if (!expired || line.alone) return describe(std::move(result));
      send(line);
    }
  }

  // Waits for the oldest line's reply and prints it. False when there is no use in going on.
  bool print_oldest() {
    Outcome outcome = finish(in_flight_.front());
    bytes_in_flight_ -= in_flight_.front().payload.size();
    in_flight_.pop_front();
    ++answered_lines_;
    if (options_.json) {
      output_.reply(to_json(outcome) + "\n");
    } else if (outcome.ok) {
      if (output_.is_terminal()) outcome.text = printable(outcome.text);
      outcome.text += '\n';
      output_.reply(outcome.text);
    } else {
      output_.reply("\n");
      complain("evpool",
               fmt::format("line {}: {}: {}", answered_lines_, outcome.name, outcome.text));
    }
    if (exit_ == Exit::ok || !outcome.goes_on) exit_ = outcome.exit;
    if (!outcome.goes_on) return false;
    if (!no_such_job_ || options_.keep_going) return true;
    complain(
        "evpool",
        fmt::format("stopped at line {}, as every line is for this job (--keep-going goes on){}",
                    answered_lines_, sent_beyond(answered_lines_)));
    return false;
  }

  [[nodiscard]] std::string sent_beyond(std::size_t line) const {
    const std::size_t jobs = lines_read_ - std::min(line, lines_read_);
    if (jobs == 0) return {};
    return jobs == 1 ? "; 1 job was sent beyond it"
                     : fmt::format("; {} jobs were sent beyond it", jobs);
  }

  [[nodiscard]] std::string what_was_lost() const {
    const std::size_t first = output_.written_replies() + 1;
    return fmt::format("; the replies from line {} on were not printed{}", first,
                       sent_beyond(first));
  }

  const CommandOptions& options_;
  Client client_;
  LineReader lines_;
  Output output_;
  FlightWindow window_;
  std::deque<Line> in_flight_;  // read, and not yet printed
  std::size_t bytes_in_flight_ = 0;
  std::size_t lines_read_ = 0;
  std::size_t answered_lines_ = 0;
  bool no_such_job_ = false;
  Exit exit_ = Exit::ok;
};

}  // namespace

Exit run_map(const CommandOptions& options) { return Map(options).run(); }

}  // namespace evpool
