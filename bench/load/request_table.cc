#include "bench/load/request_table.h"

#include <algorithm>
#include <utility>

namespace evpool::bench {

// REQUIRES: no place is free.
void RequestTable::grow() {
  constexpr std::size_t kFirstCapacity = 64;
  const std::size_t capacity = std::max(kFirstCapacity, 2 * capacity_);
  std::unique_ptr<Request[]> places(new Request[capacity]);
  std::copy(places_.get(), places_.get() + capacity_, places.get());
  places_ = std::move(places);
  free_places_.reset(new std::uint32_t[capacity]);
  // The lowest first.
  while (free_ < capacity - capacity_) {
    free_places_[free_] = static_cast<std::uint32_t>(capacity - 1 - free_);
    ++free_;
  }
  capacity_ = capacity;
}

RequestTable::Request* RequestTable::oldest() {
  for (; !by_age_.empty(); by_age_.pop_front()) {
    if (Request* const request = find(by_age_.front()); request != nullptr) return request;
  }
  return nullptr;
}

RequestTable::Fate RequestTable::fate_of(std::uint64_t number) const {
  constexpr std::uint64_t kFateMask = 3;
  const std::uint64_t sequence = number >> kPlaceBits;
  const std::size_t word = sequence / kFatesInWord;
  if (word >= fates_.size()) return Fate::unknown;
  return static_cast<Fate>((fates_[word] >> (sequence % kFatesInWord * kFateBits)) & kFateMask);
}

}  // namespace evpool::bench
