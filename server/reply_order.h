// Puts the replies of an ordered stream back into the order of their requests. Not thread-safe: the
// connection's lock guards it. Bounded by the connection's bound on requests in flight.
#pragma once

#include <cassert>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace evpool {

class ReplyOrder {
 public:
  // Whether it is the turn of the answer to request `id` (0, 1, 2, ...; each once). If so, it is
  // for the caller to pass it on, and then what take_next() gives; if not, its bytes are kept.
  [[nodiscard]] bool is_next(std::uint64_t id, std::string_view bytes) {
    assert(id >= next_id_);
    if (id == next_id_) {
      ++next_id_;
      return true;
    }
    [[maybe_unused]] const bool added = held_.emplace(id, bytes).second;
    assert(added);
    return false;
  }

  // Takes the kept answer whose turn it is; false when there is none.
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
