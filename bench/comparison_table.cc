#include "bench/comparison_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace evpool::bench {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

bool ComparisonTable::ReportContext(const Context& /*context*/) { return true; }

void ComparisonTable::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (run.run_type != Run::RT_Iteration) continue;
    if (run.error_occurred) {
      fmt::print(stderr, "{}: {}\n", run.benchmark_name(), run.error_message);
      continue;
    }
    std::string name = run.run_name.function_name;
    for (const auto& [measure, counter] : run.counters) {
      entry(name, measure).values.push_back(counter.value);
    }
    std::fputc('.', stderr);
  }
}

ComparisonTable::Entry& ComparisonTable::entry(const std::string& name,
                                               const std::string& measure) {
  const std::size_t peer = name.rfind('/');
  const std::size_t parameters = name.rfind('/', peer - 1);
  Entry wanted{.row = name.substr(0, parameters),
               .parameters = name.substr(parameters + 1, peer - parameters - 1),
               .peer = name.substr(peer + 1),
               .measure = measure,
               .values = {}};
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.row == wanted.row && entry.parameters == wanted.parameters &&
           entry.peer == wanted.peer && entry.measure == measure;
  });
  if (found != entries_.end()) return *found;
  return entries_.emplace_back(std::move(wanted));
}

void ComparisonTable::print() const {
  for (const Entry& e : entries_) {
    fmt::print("{} | {} | {} | {} | {:.2f}\n", e.row, e.parameters, e.measure, e.peer,
               median(e.values));
  }
}

}  // namespace evpool::bench
