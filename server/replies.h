// Answers of one path, encoded and gathered, so that they leave together: one system call for a
// batch of jobs and not for each. Made by ReplyPath::encode, sent by ReplyPath::send, and reused,
// so that no answer needs memory of its own. Used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "server/socket.h"

namespace evpool {

struct Replies {
  // Where the bytes of an answer end, for paths that have to know.
  struct Mark {
    std::size_t end = 0;
    std::uint64_t id = 0;  // of an ordered stream: whose turn it is
    PeerAddress peer{};    // of a UDP endpoint: whom it is for
  };
  // A payload that is not copied; it goes between the bytes.
  struct Large {
    std::size_t at = 0;
    std::string payload;
  };

  std::size_t count = 0;
  std::string bytes;
  std::vector<Mark> marks;
  std::vector<Large> large;

  [[nodiscard]] bool empty() const { return count == 0; }
  void clear() {
    count = 0;
    bytes.clear();
    marks.clear();
    large.clear();
  }
};

}  // namespace evpool
