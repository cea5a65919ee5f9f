// What the requests of a run ask for, and what a right reply to each is. Constant after
// construction but for the random numbers, which are the caller's; used by several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
  ~Workload() = default;
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;

  struct Kind {
    std::uint32_t entry = 0;  // of the mix
    std::uint32_t bytes = 0;  // of payload
  };
  [[nodiscard]] Kind pick(Random& random) const {
    return only_kind_ ? *only_kind_ : pick_at_random(random);
  }

  [[nodiscard]] std::string_view job(Kind kind) const { return entry_of(kind).asked.job; }
  // Payloads of requests after each other differ, so that a reply to another one is seen, and cost
  // nothing to make: they are windows into one text.
  [[nodiscard]] std::string_view payload(Kind kind, std::uint64_t sequence) const {
    const Entry& entry = entry_of(kind);
    return {entry.payload + window_of(entry, sequence), kind.bytes};
  }
  // True where nobody knows what is right: jobs other than echo and upper.
  [[nodiscard]] bool is_right(Kind kind, std::uint64_t sequence, std::string_view reply) const {
    const Entry& entry = entry_of(kind);
    if (entry.right_reply == nullptr) return true;
    return reply == std::string_view(entry.right_reply + window_of(entry, sequence), kind.bytes);
  }

 private:
  static constexpr std::size_t kLetters = 26;
  // Pointers are to what the workload keeps, in which each request has a window of its own, or the
  // whole.
  struct Entry {
    MixEntry asked;
    std::string upper_payload;
    double weight_until = 0;  // of this and all before
    const char* payload = nullptr;
    const char* right_reply = nullptr;  // none: not verified
    bool has_windows = false;
  };
  // Unchecked, as it is asked for several times for each request: kinds come from pick().
  [[nodiscard]] const Entry& entry_of(Kind kind) const { return entries_.data()[kind.entry]; }
  static std::size_t window_of(const Entry& entry, std::uint64_t sequence) {
    return entry.has_windows ? sequence % kLetters : 0;
  }
  [[nodiscard]] Kind pick_at_random(Random& random) const;

  std::vector<Entry> entries_;
  std::string letters_;
  std::string upper_letters_;
  std::optional<Kind> only_kind_;  // when there is nothing to choose
};

}  // namespace evpool::bench
