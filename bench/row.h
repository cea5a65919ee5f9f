// What one line of a table measures: a closed loop of `upper` with this many connections, requests
// and bytes. Its name says all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/load_options.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace evpool::bench {

struct Row {
  std::string name;
  Transport transport = Transport::tcp;
  std::size_t connections = 1;
  std::size_t in_flight = 1;  // on each of them
  std::uint32_t payload_bytes = 32;
  bool offload = false;  // UDP_SEGMENT and UDP_GRO, on both sides

  // Of payloads.
  [[nodiscard]] std::uint64_t bytes_in_flight() const {
    return std::uint64_t{connections} * in_flight * payload_bytes;
  }
};

inline constexpr const char* kRowForm = "TRANSPORT-CONNECTIONSxIN_FLIGHT[-SIZE][-offload]";

// "tcp-50x16", "udp-1x64-1024", "tcp-1x1-64M", "udp-1x256-offload". Numbers
// take the suffixes of numbers.h: 10k connections, 64K bytes; 32 bytes when there is none. Throws
// std::invalid_argument with a sentence.
[[nodiscard]] Row parse_row(std::string_view text);
[[nodiscard]] std::vector<Row> parse_rows(const std::vector<std::string>& texts);
// Of one of them.
[[nodiscard]] std::size_t most_connections(const std::vector<Row>& rows);

// --row, repeatable; `names` has the default.
CLI::Option* add_row_flag(CLI::App& command, std::vector<std::string>& names);

}  // namespace evpool::bench
