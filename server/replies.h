// Answers of one path, encoded and gathered, so that they leave together: one system call for a
// batch of jobs and not for each. Made by ReplyPath::encode, sent by ReplyPath::send, and reused,
// so that no answer needs memory of its own. Used by one thread at a time.
//
// There is always room for one short answer when it is empty: what runs out of memory can say so.
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

  // Throws std::bad_alloc.
  Replies() {
    bytes.reserve(kShortAnswerBytes);
    marks.reserve(1);
    peers.reserve(1);
  }

  std::string bytes;
  std::vector<Mark> marks;         // one for each answer
  std::vector<PeerAddress> peers;  // of a UDP endpoint: whom each is for
  std::vector<Large> large;
  std::size_t large_bytes = 0;

  // A frame's header, or "ERR shutting_down ", and kOutOfMemory.
  static constexpr std::size_t kShortAnswerBytes = 64;
  // From here on a payload is handed to libevent by reference: below, the copy is cheaper than the
  // bookkeeping: libevent allocates a chain for each reference.
  static constexpr std::size_t kReferenceBytes = std::size_t{16} << 10U;

  [[nodiscard]] std::size_t count() const { return marks.size(); }
  [[nodiscard]] bool empty() const { return marks.empty(); }
  // Appends the payload of the answer that is marked next, a large one without copying it.
  void append_payload(std::string&& payload) {
    if (payload.size() >= kReferenceBytes) {
      add_large(std::move(payload));
    } else {
      bytes += payload;
    }
  }
  // REQUIRES: `payload` belongs to the answer that is marked next, and is its end.
  void add_large(std::string&& payload) {
    const std::size_t payload_bytes = payload.size();
    large.push_back({.at = bytes.size(), .payload = std::move(payload)});
    large_bytes += payload_bytes;
  }
  // What was appended since the last mark is an answer.
  void mark(std::uint64_t id) { marks.push_back({.end = bytes.size() + large_bytes, .id = id}); }
  // Takes back what was appended since the last mark.
  void drop_unmarked() {
    const std::size_t kept_bytes = marks.empty() ? 0 : marks.back().end;
    if (peers.size() > marks.size()) peers.pop_back();
    if (!large.empty()) {
      const std::size_t last_bytes = large.back().payload.size();
      if (large.back().at + large_bytes - last_bytes >= kept_bytes) {
        large_bytes -= last_bytes;
        large.pop_back();
      }
    }
    bytes.resize(kept_bytes - large_bytes);
  }
  void clear() {
    bytes.clear();
    marks.clear();
    peers.clear();
    large.clear();
    large_bytes = 0;
  }
};

}  // namespace evpool
