#include "bench/report_csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>

namespace evpool::bench {

std::string series_to_csv(const LoadResult& result) {
  std::string csv =
      "begin_s,length_s,sent,ok,refused,wrong,lost,in_flight,p50_us,p99_us,max_us,lag_max_us\n";
  for (const IntervalRow& row : result.series) {
    const auto latency = [&](std::uint64_t nanoseconds) {
      return row.ok > 0 ? fmt::format("{:.3f}", static_cast<double>(nanoseconds) / 1000) : "";
    };
    fmt::format_to(std::back_inserter(csv), "{:.6f},{:.6f},{},{},{},{},{},{},{},{},{},{:.3f}\n",
                   row.begin_s, row.length_s, row.sent, row.ok, row.refused, row.wrong, row.lost,
                   row.in_flight, latency(row.p50_ns), latency(row.p99_ns), latency(row.max_ns),
                   static_cast<double>(row.lag_max_ns) / 1000);
  }
  return csv;
}

std::string provenance_comments(const Provenance& provenance) {
  std::string comments;
  for (auto [name, value] : provenance.facts) {
    // Some argument may have lines of its own.
    std::replace(value.begin(), value.end(), '\n', ' ');
    fmt::format_to(std::back_inserter(comments), "# {}: {}\n", name, value);
  }
  return comments;
}

}  // namespace evpool::bench
