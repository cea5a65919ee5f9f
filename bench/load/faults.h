// Why the result of a run must not be believed. docs/benchmarks.md has the bounds. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "bench/load/load_result.h"

namespace evpool::bench {

struct Faults {
  // A sentence for each, with what to do where something can be done; none: it may be believed.
  std::vector<std::string> reasons;
  bool generator_limited = false;  // as in LoadResult
};

[[nodiscard]] Faults find_faults(const LoadResult& result);

}  // namespace evpool::bench
