// Puts the replies of an ordered stream back into the order of their requests. Not thread-safe: the
// connection's lock guards it. Bounded by the connection's bound on requests in flight.
#pragma once

#include <cassert>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace evpool {

class ReplyOrder {
 public:
  // Keeps the answer to request `id` (0, 1, 2, ...; each once).
  void add(std::uint64_t id, std::string bytes) {
    assert(id >= next_id_);
    [[maybe_unused]] const bool added = held_.emplace(id, std::move(bytes)).second;
    assert(added);
  }

  // Takes the answer whose turn it is; false when that one has not come yet.
  [[nodiscard]] bool take_next(std::string& bytes) {
    const auto first = held_.begin();
    if (first == held_.end() || first->first != next_id_) return false;
    bytes = std::move(first->second);
    held_.erase(first);
    ++next_id_;
    return true;
  }

 private:
  std::uint64_t next_id_ = 0;
  std::map<std::uint64_t, std::string> held_;
};

}  // namespace evpool
