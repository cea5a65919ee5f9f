// What `floors` has measured, and how it is shown. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/row.h"
#include "bench/row_run.h"
#include "bench/series.h"

namespace evpool::bench {

enum FloorsTarget : std::size_t { kFloor, kHop, kEvpool, kFloorsTargets };
inline constexpr std::array<const char*, kFloorsTargets> kFloorsTargetNames = {"floor", "hop floor",
                                                                               "evpool"};

struct FloorsRow {
  Row row;
  std::array<std::vector<RowFigures>, kFloorsTargets> rounds;
  std::uint64_t wrong = 0;
  std::vector<std::string> faults;
};

// Of rows that were begun, keeps the rounds in which every target was measured; drops the others.
void keep_finished(std::vector<FloorsRow>& rows);

// In both functions `broke_off` says why some rounds were not measured; it is empty when all were.

// Prints the troubles, the tables in Markdown, and the ratios in one line.
void print_floors_text(const SeriesOptions& options, const std::vector<FloorsRow>& rows,
                       const std::string& broke_off);
// One object.
void print_floors_json(const SeriesOptions& options, const std::vector<FloorsRow>& rows,
                       const std::string& broke_off);

}  // namespace evpool::bench
