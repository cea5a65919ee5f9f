// Results as pages for a browser: one file each that holds everything, without scripts, and that
// fetches nothing. Light and dark, for wide screens and telephones. Thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/load/load_result.h"
#include "bench/load/provenance.h"

namespace evpool::bench {

[[nodiscard]] std::string report_html(const LoadResult& result, const Provenance& provenance);

// Several runs in their order: the first `rising` on the way up, the others on the way down. There
// are fewer when the sweep ended early.
[[nodiscard]] std::string sweep_html(const std::vector<LoadResult>& results, std::size_t rising,
                                     const Provenance& provenance);

}  // namespace evpool::bench
