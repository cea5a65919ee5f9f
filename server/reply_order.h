// Puts the replies of an ordered stream back into the order of their requests. Not thread-safe: the
// connection's lock guards it. As large as what is kept: who adds to it looks at held_bytes(), and
// reads no further requests of a stream that has it keep much.
#pragma once

#include <cassert>
#include <cstddef>
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
    held_bytes_ += bytes.size();
    return false;
  }

  // Takes the kept answer whose turn it is; false when there is none.
  [[nodiscard]] bool take_next(std::string& bytes) {
    const auto first = held_.begin();
    if (first == held_.end() || first->first != next_id_) return false;
    bytes = std::move(first->second);
    held_.erase(first);
    held_bytes_ -= bytes.size();
    ++next_id_;
    return true;
  }

  // Answers that are kept, and their bytes.
  [[nodiscard]] std::size_t held() const { return held_.size(); }
  [[nodiscard]] std::size_t held_bytes() const { return held_bytes_; }

 private:
  std::uint64_t next_id_ = 0;
  std::map<std::uint64_t, std::string> held_;
  std::size_t held_bytes_ = 0;
};

}  // namespace evpool
