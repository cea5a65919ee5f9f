// Answers of one path, encoded and gathered, so that they leave together: one system call for a
// batch of jobs and not for each. Made by ReplyPath::encode, sent by ReplyPath::send, and reused,
// so that no answer needs memory of its own. Used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/socket.h"

namespace evpool {

struct Replies {
  struct Mark {
    std::size_t end = 0;   // of the answer, in all bytes, those of large payloads included
    std::uint64_t id = 0;  // of an ordered stream: whose turn it is
  };
  // A payload that is not copied; it goes between the bytes.
  struct Large {
    std::size_t at = 0;
    std::string payload;
  };

  std::string bytes;
  std::vector<Mark> marks;         // one for each answer
  std::vector<PeerAddress> peers;  // of a UDP endpoint: whom each is for
  std::vector<Large> large;
  std::size_t large_bytes = 0;

  [[nodiscard]] std::size_t count() const { return marks.size(); }
  [[nodiscard]] bool empty() const { return marks.empty(); }
  // REQUIRES: `payload` belongs to the answer that is marked next.
  void add_large(std::string payload) {
    large_bytes += payload.size();
    large.push_back({.at = bytes.size(), .payload = std::move(payload)});
  }
  // What was appended since the last mark is an answer.
  void mark(std::uint64_t id) { marks.push_back({.end = bytes.size() + large_bytes, .id = id}); }
  void clear() {
    bytes.clear();
    marks.clear();
    peers.clear();
    large.clear();
    large_bytes = 0;
  }
};

}  // namespace evpool
