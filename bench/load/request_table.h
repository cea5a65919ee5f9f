// The requests of a thread that wait for their replies, and, in two bits each, what became of all
// the others: so that a reply that comes once more, or too late, is known for what it is, however
// long after. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/load/ring.h"
#include "bench/load/workload.h"

namespace evpool::bench {

class RequestTable {
 public:
  using Clock = std::chrono::steady_clock;

  // A request's number: its sequence number and, in the lower bits, its place in the table.
  static constexpr unsigned kPlaceBits = 24;
  static constexpr std::size_t kMostPending = std::size_t{1} << kPlaceBits;

  struct Request {
    std::uint64_t number = 0;
    Clock::time_point due;
    Clock::time_point sent;
    std::uint32_t connection = 0;
    Workload::Kind kind;
    bool pending = false;

    [[nodiscard]] std::uint64_t sequence() const { return number >> kPlaceBits; }
  };
  // Of a number that is not pending; unknown: its connection broke, or it never was one.
  enum class Fate : std::uint8_t { unknown, answered, lost };

  // A request's number on the wire: multiplied by an odd constant, which can be undone, so that a
  // damaged id is nobody's and not another request's.
  [[nodiscard]] static std::uint64_t id_of(std::uint64_t number) { return number * kScramble; }
  [[nodiscard]] static std::uint64_t number_of(std::uint64_t id) { return id * kUnscramble; }

  // REQUIRES: fewer than kMostPending are. What it and the others return is valid until the next.
  Request& add(Clock::time_point due, Clock::time_point sent, std::uint32_t connection,
               Workload::Kind kind) {
    if (free_ == 0) grow();
    const std::uint32_t place = free_places_.get()[--free_];
    Request& request = places_.get()[place];
    // One by one: gcc would make a Request elsewhere and copy it in pieces of other sizes, for each
    // of which the processor has to wait.
    request.number = next_sequence_++ << kPlaceBits | place;
    request.due = due;
    request.sent = sent;
    request.connection = connection;
    request.kind.entry = kind.entry;
    request.kind.bytes = kind.bytes;
    request.pending = true;
    by_age_.push_back(request.number);
    return request;
  }
  // Nullptr when it is not pending.
  [[nodiscard]] Request* find(std::uint64_t number) {
    const std::size_t place = place_of(number);
    if (place >= capacity_) return nullptr;
    Request& request = places_.get()[place];
    return request.pending && request.number == number ? &request : nullptr;
  }
  // Of the pending the one that was sent first; nullptr when there is none.
  [[nodiscard]] Request* oldest();
  void end(Request& request, Fate fate) {
    request.pending = false;
    free_places_.get()[free_++] = static_cast<std::uint32_t>(place_of(request.number));
    if (fate != Fate::unknown) set_fate(request.sequence(), fate);
  }
  [[nodiscard]] Fate fate_of(std::uint64_t number) const;

  [[nodiscard]] std::size_t pending() const { return capacity_ - free_; }
  // Calls `visit` with each pending one, which it may end. REQUIRES: `visit` adds none.
  template <typename Visit>
  void visit_pending(const Visit& visit) {
    for (std::size_t place = 0; place < capacity_; ++place) {
      if (places_[place].pending) visit(places_[place]);
    }
  }

 private:
  static constexpr std::uint64_t kScramble = 0x9E3779B97F4A7C15;
  static constexpr std::uint64_t kUnscramble = 0xF1DE83E19937733D;
  static_assert(kScramble * kUnscramble == 1);

  [[nodiscard]] static std::size_t place_of(std::uint64_t number) {
    return number & (kMostPending - 1);
  }
  void grow();

  static constexpr std::size_t kFateBits = 2;
  static constexpr std::size_t kFatesInWord = 64 / kFateBits;
  void set_fate(std::uint64_t sequence, Fate fate) {
    const std::size_t word = sequence / kFatesInWord;
    if (word >= fates_.size()) fates_.resize(word + 1);
    fates_[word] |= static_cast<std::uint64_t>(fate) << (sequence % kFatesInWord * kFateBits);
  }

  std::unique_ptr<Request[]> places_;
  std::unique_ptr<std::uint32_t[]>
      free_places_;  // as many as there are places; free_ of them count
  std::size_t capacity_ = 0;
  std::size_t free_ = 0;
  Ring<std::uint64_t> by_age_;  // numbers, and some that have ended
  std::uint64_t next_sequence_ = 0;
  std::vector<std::uint64_t> fates_;
};

}  // namespace evpool::bench
