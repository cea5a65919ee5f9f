// A result's latencies in the format that HdrHistogram's own tools read (HistogramLogProcessor,
// hdr-plot, the log analyzers), so that nobody has to take our percentiles on trust.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "bench/load/latency_histogram.h"
#include "bench/load/load_result.h"

namespace evpool::bench {

// A log of format version 1.3 with one line: the whole run's latency, in nanoseconds; its column of
// maxima is in milliseconds, as those tools expect. `ended` dates it. Thread-safe. Throws
// std::bad_alloc only.
[[nodiscard]] std::string histogram_log(
    const LoadResult& result,
    std::chrono::system_clock::time_point ended = std::chrono::system_clock::now());

// The payload of such a line: HdrHistogram's V2 encoding, compressed, and in base64.
[[nodiscard]] std::string encode_hdr_histogram(const LatencyHistogram& histogram);

}  // namespace evpool::bench
