// Gathers the medians of a run of benchmarks named "row/parameters/peer" and prints, for each row and
// parameters, the peers side by side.
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace evpool::bench {

class ComparisonTable : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  void print() const;

 private:
  struct Entry {
    std::string row;
    std::string parameters;
    std::string peer;
    std::string measure;
    std::vector<double> values;  // one a repetition
  };
  Entry& entry(const std::string& name, const std::string& measure);
  std::vector<Entry> entries_;
};

}  // namespace evpool::bench
