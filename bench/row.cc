#include "bench/row.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "bench/numbers.h"
#include "protocol/constants.h"

namespace evpool::bench {
namespace {

constexpr std::string_view kJob = "upper";

// What `text` begins with up to one of `ends`, which is taken away.
std::string_view take_until(std::string_view& text, std::string_view ends) {
  const std::string_view taken = text.substr(0, text.find_first_of(ends));
  text.remove_prefix(taken.size());
  return taken;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

bool read_shape(std::string_view& text, Row& row) {
  if (take(text, "udp-")) {
    row.transport = Transport::udp;
  } else if (!take(text, "tcp-")) {
    return false;
  }
  row.connections = parse_count(take_until(text, "x"), 1);
  if (!take(text, "x")) return false;
  row.in_flight = parse_count(take_until(text, "-"), 1);
  return true;
}

// False: it is no size of a payload.
bool read_size(std::string_view& text, std::uint64_t& bytes) {
  bytes = parse_bytes(take_until(text, "-"), UINT64_MAX);
  return bytes > 0;
}

}  // namespace

Row parse_row(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    throw std::invalid_argument(fmt::format("'{}': {}", text, why));
  };
  Row row;
  row.name = text;
  std::string_view rest = text;
  std::uint64_t bytes = row.payload_bytes;
  bool right = false;
  try {
    right = read_shape(rest, row);
    if (right && !rest.empty() && rest != "-offload") {
      right = take(rest, "-") && read_size(rest, bytes);
    }
    row.offload = take(rest, "-offload");
  } catch (const std::invalid_argument&) {  // of one of the numbers; what is said is of them all
    right = false;
  }
  if (!right || !rest.empty()) {
    refuse(fmt::format("expected {}: tcp-50x16, udp-1x64-1024, tcp-1x1-64M, udp-1x256-offload",
                       kRowForm));
  }
  const bool udp = row.transport == Transport::udp;
  if (row.offload && !udp) refuse("only datagrams have segmentation offload here");
  const std::uint64_t most =
      udp ? kMaxDatagramBytes - kFrameHeaderBytes - kJob.size() : kDefaultMaxPayloadBytes;
  if (bytes > most) refuse(fmt::format("a payload has at most {} bytes there", most));
  row.payload_bytes = static_cast<std::uint32_t>(bytes);
  return row;
}

std::vector<Row> parse_rows(const std::vector<std::string>& texts) {
  std::vector<Row> rows;
  rows.reserve(texts.size());
  for (const std::string& text : texts) rows.push_back(parse_row(text));
  return rows;
}

std::size_t most_connections(const std::vector<Row>& rows) {
  std::size_t most = 0;
  for (const Row& row : rows) most = std::max(most, row.connections);
  return most;
}

CLI::Option* add_row_flag(CLI::App& command, std::vector<std::string>& names) {
  const auto refusal = [](const std::string& text) -> std::string {
    try {
      static_cast<void>(parse_row(text));
      return {};
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
  };
  return command
      .add_option("--row", names, fmt::format("What to measure, repeatable: {}", kRowForm))
      ->check(CLI::Validator(refusal, ""))
      ->type_name("NAME")
      ->capture_default_str();
}

}  // namespace evpool::bench
