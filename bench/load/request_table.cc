#include "bench/load/request_table.h"

namespace evpool::bench {
namespace {

constexpr std::uint64_t kFateMask = 3;

std::size_t place_of(std::uint64_t number) { return number & (RequestTable::kMostPending - 1); }

}  // namespace

RequestTable::Request& RequestTable::add(Clock::time_point due, Clock::time_point sent,
                                         std::uint32_t connection, Workload::Kind kind) {
  static_assert(kScramble * inverse_of(kScramble) == 1);
  if (free_places_.empty()) {
    free_places_.push_back(static_cast<std::uint32_t>(places_.size()));
    places_.emplace_back();
  }
  const std::uint32_t place = free_places_.back();
  free_places_.pop_back();
  Request& request = places_[place];
  request = {.number = next_sequence_++ << kPlaceBits | place,
             .due = due,
             .sent = sent,
             .connection = connection,
             .kind = kind,
             .pending = true};
  by_age_.push_back(request.number);
  ++pending_;
  return request;
}

RequestTable::Request* RequestTable::find(std::uint64_t number) {
  const std::size_t place = place_of(number);
  if (place >= places_.size()) return nullptr;
  Request& request = places_[place];
  return request.pending && request.number == number ? &request : nullptr;
}

RequestTable::Request* RequestTable::oldest() {
  for (; !by_age_.empty(); by_age_.pop_front()) {
    if (Request* const request = find(by_age_.front()); request != nullptr) return request;
  }
  return nullptr;
}

void RequestTable::end(Request& request, Fate fate) {
  request.pending = false;
  free_places_.push_back(static_cast<std::uint32_t>(place_of(request.number)));
  --pending_;
  if (fate != Fate::unknown) set_fate(request.sequence(), fate);
}

void RequestTable::set_fate(std::uint64_t sequence, Fate fate) {
  const std::size_t word = sequence / kFatesInWord;
  if (word >= fates_.size()) fates_.resize(word + 1);
  fates_[word] |= static_cast<std::uint64_t>(fate) << (sequence % kFatesInWord * kFateBits);
}

RequestTable::Fate RequestTable::fate_of(std::uint64_t number) const {
  const std::uint64_t sequence = number >> kPlaceBits;
  const std::size_t word = sequence / kFatesInWord;
  if (word >= fates_.size()) return Fate::unknown;
  return static_cast<Fate>((fates_[word] >> (sequence % kFatesInWord * kFateBits)) & kFateMask);
}

}  // namespace evpool::bench
