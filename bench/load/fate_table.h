// What became of each request of a thread, by its sequence number: so that a reply that comes once
// more, or too late, is known for what it is, however long after. Two bits a request. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace evpool::bench {

class FateTable {
 public:
  enum class Fate : std::uint8_t { in_flight, answered, lost };

  void set(std::uint64_t sequence, Fate fate) {
    const std::size_t word = sequence / kInWord;
    if (word >= words_.size()) words_.resize(word + 1);
    const auto shift = static_cast<unsigned>(sequence % kInWord * kBits);
    words_[word] = (words_[word] & ~(kMask << shift)) | (static_cast<std::uint64_t>(fate) << shift);
  }
  [[nodiscard]] Fate get(std::uint64_t sequence) const {
    const std::size_t word = sequence / kInWord;
    if (word >= words_.size()) return Fate::in_flight;
    return static_cast<Fate>((words_[word] >> (sequence % kInWord * kBits)) & kMask);
  }

 private:
  static constexpr std::size_t kBits = 2;
  static constexpr std::size_t kInWord = 64 / kBits;
  static constexpr std::uint64_t kMask = 3;
  std::vector<std::uint64_t> words_;
};

}  // namespace evpool::bench
