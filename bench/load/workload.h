// What the requests of a run ask for, and what a right reply to each is. Constant after
// construction but for the random numbers, which are the caller's; used by several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/load_options.h"

namespace evpool::bench {

using Random = std::mt19937_64;
// A stream of random numbers for a thread's requests.
[[nodiscard]] Random random_for(std::uint64_t seed, std::size_t thread);

class Workload {
 public:
  // Throws std::invalid_argument for a mix that makes no sense.
  explicit Workload(const LoadOptions& options);

  struct Kind {
    std::uint32_t entry = 0;  // of the mix
    std::uint32_t bytes = 0;  // of payload
  };
  [[nodiscard]] Kind pick(Random& random) const;

  [[nodiscard]] std::string_view job(Kind kind) const { return entries_[kind.entry].asked.job; }
  // Payloads of requests after each other differ, so that a reply to another one is seen, and cost
  // nothing to make: they are windows into one text.
  [[nodiscard]] std::string_view payload(Kind kind, std::uint64_t sequence) const;
  // True where nobody knows what is right: jobs other than echo and upper.
  [[nodiscard]] bool is_right(Kind kind, std::uint64_t sequence, std::string_view reply) const;

 private:
  enum class Check : std::uint8_t { none, same, upper };
  struct Entry {
    MixEntry asked;
    double weight_until = 0;  // of this and all before
    std::string upper_payload;
    Check check = Check::none;
  };

  std::vector<Entry> entries_;
  std::string letters_;
  std::string upper_letters_;
};

}  // namespace evpool::bench
