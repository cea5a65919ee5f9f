// The way an answer takes back to its peer: a TCP connection or a UDP endpoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "server/refusal.h"
#include "server/replies.h"
#include "server/request.h"
#include "server/socket.h"

namespace evpool {

// Whom a datagram came from, and what its answer may be.
struct Origin {
  PeerAddress peer{};
  std::uint32_t limit_bytes = 0;  // the largest datagram this peer may be sent
  bool raw = false;               // answer without a frame
};

// Which request of a path an answer is for.
struct ReplyTo {
  std::uint64_t id = 0;            // the frame's id, or the request's place in an ordered stream
  const Origin* origin = nullptr;  // of a UDP endpoint, otherwise null; outlives the call
};

// Shared by the loop and by every batch of jobs that owes it an answer, so it outlives the socket's
// peer; it never leads to another peer than the one that asked. All methods may be called from any
// thread.
class ReplyPath : public std::enable_shared_from_this<ReplyPath> {
 public:
  ReplyPath() = default;
  ReplyPath(const ReplyPath&) = delete;
  ReplyPath& operator=(const ReplyPath&) = delete;
  virtual ~ReplyPath() = default;

  // Whether nobody is there to be answered any more. A hint: it may become true at any time.
  [[nodiscard]] virtual bool gone() const = 0;

  // Appends the one answer to `to`. What this path cannot carry is replaced by a too_large one;
  // reply.status says in the end what was appended. The payload may be moved from. Throws
  // std::bad_alloc; then replies.drop_unmarked() takes back what there is of it. A short answer in
  // empty replies needs no memory.
  virtual void encode(const ReplyTo& to, Reply& reply, Replies& replies) const = 0;

  // Sends what was appended, and clears it; returns how many answers could be delivered.
  virtual std::size_t send(Replies& replies) noexcept = 0;
};

// Appends an answer in place of one that there was no memory for; a job that has run has failed
// then. REQUIRES: `replies` is empty.
[[gnu::cold]] inline void append_short_answer(const ReplyPath& path, const ReplyTo& to,
                                              Reply& reply, Replies& replies) noexcept {
  if (reply.status == Status::ok) reply.status = Status::failed;
  reply.payload = kOutOfMemory;
  path.encode(to, reply, replies);
}

}  // namespace evpool
