// The time series of a result, for spreadsheets and plotting programs. Thread-safe.
#pragma once

#include <string>

#include "bench/load/load_result.h"
#include "bench/load/provenance.h"

namespace evpool::bench {

// A line of names, then a line an interval. Times are in seconds since the end of the warm-up,
// below 0 before it; latencies in microseconds, left empty where no reply was ok.
[[nodiscard]] std::string series_to_csv(const LoadResult& result);

// Lines that begin with '#', as plotting programs skip them and HdrHistogram's tools do, to be put
// at the end of a file: what its contents were measured with.
[[nodiscard]] std::string provenance_comments(const Provenance& provenance);

}  // namespace evpool::bench
