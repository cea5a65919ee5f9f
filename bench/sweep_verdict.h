// What a sweep found, in one line.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "bench/load/load_result.h"

namespace evpool::bench {

// The highest rate that the server kept up with, and whether the way down differs from the way up:
// "keeps up with 20000/s; the way down does not differ".
//
// A run keeps up when it is valid, less than 1 % of its requests got no right answer in time, and
// as many were answered as this rate makes in the time that the answers took, but for 5 % or
// chance: a queue that grew until the end takes longer to empty. The way down differs when a rate
// is kept up with on one way only, or its median latency is more than twice that of the other way.
// A run in which only the generator was late says nothing of the server, and is not looked at.
//
// `results` in their order: `rising` rates, and then the same ones falling; fewer when it was
// interrupted. REQUIRES: there is one.
[[nodiscard]] std::string sweep_verdict(std::span<const LoadResult> results, std::size_t rising);

}  // namespace evpool::bench
