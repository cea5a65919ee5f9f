// A result that a test makes up, and what is looked for in the reports of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/load_result.h"

namespace evpool::bench {

inline LoadResult open_loop_result() {
  LoadResult result;
  result.options.rate = 1'000;
  result.options.connections = 5;
  result.options.in_flight = 16;
  result.seconds = 2;
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    result.latency.record(i * 1'000'000);
    result.service.record(i * 1'000);
    result.lag.record(500);
  }
  Account& account = result.account;
  account.ok = 1'000;
  account.refused[static_cast<std::size_t>(Status::busy)] = 20;
  account.refused[static_cast<std::size_t>(Status::expired)] = 3;
  account.lost = 7;
  account.sent = 1'030;
  account.skipped = 5;
  account.scheduled = 1'035;
  result.cpu_seconds = 0.00206;
  result.send_calls = 515;
  result.receive_calls = 515;
  result.server = {{"received", 1'030}, {"datagrams_dropped", 4}};
  result.series = {{.begin_s = -0.5, .length_s = 0.5, .sent = 400, .ok = 0, .in_flight = 9},
                   {.begin_s = 0,
                    .length_s = 1,
                    .sent = 515,
                    .ok = 500,
                    .refused = 11,
                    .wrong = 1,
                    .lost = 2,
                    .in_flight = 3,
                    .p50_ns = 1'500,
                    .p99_ns = 2'250'000,
                    .max_ns = 3'000'000,
                    .lag_max_ns = 4'000}};
  return result;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace evpool::bench
