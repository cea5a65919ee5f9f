// Why the result of a run must not be believed. docs/benchmarks.md has the bounds. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "bench/load/load_result.h"

namespace evpool::bench {

// A sentence for each reason, with what to do where something can be done; none: it may be
// believed. Looks at everything in `result` but `invalid`.
[[nodiscard]] std::vector<std::string> find_faults(const LoadResult& result);

}  // namespace evpool::bench
