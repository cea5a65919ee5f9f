// The requests of a thread that wait for their replies, and, in two bits each, what became of all
// the others: so that a reply that comes once more, or too late, is known for what it is, however
// long after. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

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
  [[nodiscard]] static std::uint64_t number_of(std::uint64_t id) {
    return id * inverse_of(kScramble);
  }

  // REQUIRES: fewer than kMostPending are. What it and the others return is valid until the next.
  Request& add(Clock::time_point due, Clock::time_point sent, std::uint32_t connection,
               Workload::Kind kind);
  // Nullptr when it is not pending.
  [[nodiscard]] Request* find(std::uint64_t number);
  // Of the pending the one that was sent first; nullptr when there is none.
  [[nodiscard]] Request* oldest();
  void end(Request& request, Fate fate);
  [[nodiscard]] Fate fate_of(std::uint64_t number) const;

  [[nodiscard]] std::size_t pending() const { return pending_; }
  // Calls `visit` with each pending one, which it may end. REQUIRES: `visit` adds none.
  template <typename Visit>
  void visit_pending(const Visit& visit) {
    for (Request& request : places_) {
      if (request.pending) visit(request);
    }
  }

 private:
  static constexpr std::uint64_t kScramble = 0x9E3779B97F4A7C15;
  static constexpr std::uint64_t inverse_of(std::uint64_t odd) {
    std::uint64_t inverse = odd;  // right in the lowest 3 bits; each of Newton's steps doubles them
    for (int step = 0; step < 5; ++step) inverse *= 2 - odd * inverse;
    return inverse;
  }

  static constexpr std::size_t kFateBits = 2;
  static constexpr std::size_t kFatesInWord = 64 / kFateBits;
  void set_fate(std::uint64_t sequence, Fate fate);

  std::vector<Request> places_;
  std::vector<std::uint32_t> free_places_;
  std::deque<std::uint64_t> by_age_;  // numbers, and some that have ended
  std::size_t pending_ = 0;
  std::uint64_t next_sequence_ = 0;
  std::vector<std::uint64_t> fates_;
};

}  // namespace evpool::bench
