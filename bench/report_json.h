// A result for programs. Thread-safe.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "bench/load/load_result.h"
#include "bench/load/provenance.h"

namespace evpool::bench {

inline constexpr const char* kResultSchema = "evpool-bench-result/1";

// One object of kResultSchema. Every key is always there; what was not measured is null and not 0,
// so that a run without replies does not look like one with the shortest of latencies. All text in
// it is valid UTF-8, so that dump() doesn't throw: other bytes of a command line are replaced.
[[nodiscard]] nlohmann::ordered_json result_to_json(const LoadResult& result,
                                                    const Provenance& provenance);

// Names and values; valid UTF-8 likewise.
[[nodiscard]] nlohmann::ordered_json provenance_to_json(const Provenance& provenance);

}  // namespace evpool::bench
