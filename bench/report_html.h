// Results as pages for a browser: one file each that holds everything, without scripts, and that
// fetches nothing. Light and dark, for wide screens and telephones. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "bench/load/load_result.h"
#include "bench/load/provenance.h"

namespace evpool::bench {

[[nodiscard]] std::string report_html(const LoadResult& result, const Provenance& provenance);

// Several runs under growing load, in the order in which they are to be joined by lines.
[[nodiscard]] std::string sweep_html(const std::vector<LoadResult>& results,
                                     const Provenance& provenance);

}  // namespace evpool::bench
