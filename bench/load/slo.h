// A service level objective: what a load must hold to count as served. "p99<2ms,loss<0.01%".
// Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/load_result.h"

namespace evpool::bench {

class Slo {
 public:
  // Comma-separated: p50, p90, p99, p99.9, p99.99 (any pNN), max or mean, below a time (500us, 2ms,
  // 1s); loss below a share (0.01%, 0). Throws std::invalid_argument with a sentence.
  explicit Slo(std::string_view text);

  // None: it holds. Otherwise the first bound that does not, and by how much: "p99 3.1 ms".
  [[nodiscard]] std::optional<std::string> broken_by(const LoadResult& result) const;

 private:
  struct Bound {
    enum class Kind : std::uint8_t { percentile, max, mean, loss };
    Kind kind = Kind::percentile;
    std::string name;
    double percent = 0;  // of a percentile
    double limit = 0;    // nanoseconds, or a share
  };
  std::vector<Bound> bounds_;
};

// Of what was due, the share that got no right answer in time.
[[nodiscard]] double loss_of(const LoadResult& result);

}  // namespace evpool::bench
