#include "bench/pool/comparison_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>

#include "console/diagnostic.h"

namespace evpool::bench {
namespace {

constexpr const char* kOwn = "evpool";
// The columns. Whoever else was measured is a reference, named beside the parameters.
constexpr std::array<const char*, 5> kColumns = {kOwn, "TBB", "Asio", "moodycamel", "textbook"};
constexpr const char* kNone = "-";

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Three digits that mean something.
std::string show(double value) {
  if (value >= 100 || value == 0) return fmt::format("{:.0f}", value);
  return value >= 10 ? fmt::format("{:.1f}", value) : fmt::format("{:.2f}", value);
}

bool is_cost(const std::string& figure) { return figure == kCpuNs || figure == kSwitches; }

void print_head(const std::string& last_columns, int last_count) {
  std::string names = "| row | parameters |";
  std::string rule = "| --- | --- |";
  for (const char* column : kColumns) {
    names += fmt::format(" {} |", column);
    rule += " ---: |";
  }
  names += last_columns;
  for (int i = 0; i < last_count; ++i) rule += " ---: |";
  fmt::print("{}\n{}\n", names, rule);
}

}  // namespace

bool ComparisonTable::ReportContext(const Context& /*context*/) { return true; }

void ComparisonTable::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (run.run_type != Run::RT_Iteration) continue;
    if (run.error_occurred) {
      say(fmt::format("\n{}: {}\n", run.benchmark_name(), run.error_message));
      continue;
    }
    const std::string& name = run.run_name.function_name;
    const std::size_t peer = name.rfind('/');
    const std::size_t parameters = name.rfind('/', peer - 1);
    const std::string row = name.substr(0, parameters);
    const std::string parameters_name = name.substr(parameters + 1, peer - parameters - 1);
    // All peers of a subject go to the place of whichever was reported first. Peers of one subject
    // are registered together, so that this keeps the subjects' order.
    auto found = std::find_if(subjects_.begin(), subjects_.end(), [&](const auto& numbered) {
      return numbered.second.row == row && numbered.second.parameters == parameters_name;
    });
    if (found == subjects_.end()) {
      found = subjects_.emplace(run.family_index, Subject{row, parameters_name, {}}).first;
    }
    for (const auto& [figure, counter] : run.counters) {
      found->second.figures[figure][name.substr(peer + 1)].push_back(counter.value);
    }
  }
  std::fputc('.', stderr);
}

std::size_t ComparisonTable::repetitions() const {
  std::size_t most = 0;
  for (const auto& [order, subject] : subjects_) {
    for (const auto& [figure, peers] : subject.figures) {
      for (const auto& [peer, values] : peers) most = std::max(most, values.size());
    }
  }
  return most;
}

void ComparisonTable::print() const {
  if (subjects_.empty()) return;
  print_figures();
  print_costs();
  print_rows();
}

// False: evpool or every peer is missing, or is zero.
bool ComparisonTable::compare(const Peers& peers, Ratio& ratio) {
  const auto own = peers.find(kOwn);
  if (own == peers.end()) return false;
  const Values* best = nullptr;
  for (const char* column : kColumns) {
    const auto peer = peers.find(column);
    if (peer == peers.end() || peer == own) continue;
    if (best == nullptr || median(peer->second) < median(*best)) best = &peer->second;
  }
  if (best == nullptr) return false;
  const auto [own_least, own_greatest] =
      std::minmax_element(own->second.begin(), own->second.end());
  const auto [best_least, best_greatest] = std::minmax_element(best->begin(), best->end());
  if (*own_least <= 0 || *best_least <= 0) return false;
  ratio = {.of_medians = median(*best) / median(own->second),
           .lowest = *best_least / *own_greatest,
           .highest = *best_greatest / *own_least};
  return true;
}

void ComparisonTable::print_figures() const {
  fmt::print(
      "\n## The pool beside its peers: ns for each task, or as the parameters say\n\n"
      "The best peer is the best of up to four: where all are alike but for noise, that alone puts "
      "the ratio below 1.\n\n");
  print_head(" best peer / evpool |", 1);
  for (const auto& [order, subject] : subjects_) {
    for (const auto& [figure, peers] : subject.figures) {
      if (is_cost(figure)) continue;
      std::string parameters = subject.parameters;
      if (figure != kNs) parameters += ", " + figure;
      for (const auto& [peer, values] : peers) {
        if (std::find(kColumns.begin(), kColumns.end(), peer) == kColumns.end()) {
          parameters += fmt::format("; {}: {}", peer, show(median(values)));
        }
      }
      fmt::print("| {} | {} |", subject.row, parameters);
      for (const char* column : kColumns) {
        const auto peer = peers.find(column);
        fmt::print(" {} |", peer == peers.end() ? kNone : show(median(peer->second)));
      }
      Ratio ratio{};
      fmt::print(" {} |\n",
                 compare(peers, ratio) ? fmt::format("{:.2f}", ratio.of_medians) : kNone);
    }
  }
}

void ComparisonTable::print_costs() const {
  fmt::print(
      "\n## What it costs: CPU ns / context switches for each task, of the whole process\n\n"
      "The range goes from evpool's slowest run beside the best peer's fastest to the "
      "reverse.\n\n");
  print_head(" range of best peer / evpool |", 1);
  for (const auto& [order, subject] : subjects_) {
    const auto cpu = subject.figures.find(kCpuNs);
    const auto switches = subject.figures.find(kSwitches);
    if (cpu == subject.figures.end() || switches == subject.figures.end()) continue;
    fmt::print("| {} | {} |", subject.row, subject.parameters);
    for (const char* column : kColumns) {
      const auto peer = cpu->second.find(column);
      if (peer == cpu->second.end()) {
        fmt::print(" {} |", kNone);
      } else {
        fmt::print(" {} / {:.4f} |", show(median(peer->second)),
                   median(switches->second.at(column)));
      }
    }
    // The first figure stands for the others: it is the only one, or the median latency.
    const auto figure = std::find_if(subject.figures.begin(), subject.figures.end(),
                                     [](const auto& named) { return !is_cost(named.first); });
    Ratio ratio{};
    const bool compared = figure != subject.figures.end() && compare(figure->second, ratio);
    fmt::print(" {} |\n",
               compared ? fmt::format("{:.2f}..{:.2f}", ratio.lowest, ratio.highest) : kNone);
  }
}

void ComparisonTable::print_rows() const {
  struct Row {
    std::string name;
    int lines = 0;
    int ahead = 0;
    double least = std::numeric_limits<double>::infinity();
    double greatest = 0;
  };
  std::vector<Row> rows;
  for (const auto& [order, subject] : subjects_) {
    for (const auto& [figure, peers] : subject.figures) {
      Ratio ratio{};
      if (is_cost(figure) || !compare(peers, ratio)) continue;
      if (rows.empty() || rows.back().name != subject.row) rows.push_back({.name = subject.row});
      Row& row = rows.back();
      ++row.lines;
      if (ratio.of_medians > 1) ++row.ahead;
      row.least = std::min(row.least, ratio.of_medians);
      row.greatest = std::max(row.greatest, ratio.of_medians);
    }
  }
  fmt::print(
      "\n## Each row as a whole\n\n"
      "| row | evpool ahead of every peer | best peer / evpool, least..greatest |\n"
      "| --- | ---: | ---: |\n");
  for (const Row& row : rows) {
    fmt::print("| {} | {} of {} | {:.2f}..{:.2f} |\n", row.name, row.ahead, row.lines, row.least,
               row.greatest);
  }
}

}  // namespace evpool::bench
