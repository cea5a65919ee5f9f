// Gathers a run of benchmarks named "row/parameters/peer" and prints, for each row and its
// parameters, the peers side by side, as Markdown.
//
// Each counter of a benchmark is a figure with a line of its own, less being better; but kCpuNs and
// kSwitches go to the second table.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace evpool::bench {

inline constexpr const char* kNs = "ns";  // for each task: the figure that needs no name
inline constexpr const char* kCpuNs = "cpu_ns";
inline constexpr const char* kSwitches = "switches";

class ComparisonTable : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;

  // What was measured; nothing if nothing was.
  void print() const;
  [[nodiscard]] std::size_t repetitions() const;

 private:
  using Values = std::vector<double>;  // one for each repetition
  using Peers = std::map<std::string, Values>;
  struct Subject {
    std::string row;
    std::string parameters;
    std::map<std::string, Peers> figures;
  };
  struct Ratio {
    double of_medians;  // the best peer's to evpool's
    double lowest;      // of the peer's least to evpool's greatest
    double highest;     // and the other way round
  };

  [[nodiscard]] static bool compare(const Peers& peers, Ratio& ratio);
  void print_figures() const;
  void print_costs() const;
  void print_rows() const;

  // By the order of registration, which is not that of running when runs are interleaved.
  std::map<std::int64_t, Subject> subjects_;
};

}  // namespace evpool::bench
