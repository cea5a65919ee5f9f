// The way an answer takes back to its peer: a TCP connection or a UDP endpoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

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
//
// Running out of memory in them ends the process: going on would leave a request unanswered.
class ReplyPath : public std::enable_shared_from_this<ReplyPath> {
 public:
  ReplyPath() = default;
  ReplyPath(const ReplyPath&) = delete;
  ReplyPath& operator=(const ReplyPath&) = delete;
  virtual ~ReplyPath() = default;

  // Whether nobody is there to be answered any more. A hint: it may become true at any time.
  [[nodiscard]] virtual bool gone() const = 0;

  // Appends the one answer to `to`. What this path cannot carry is replaced by a too_large one;
  // reply.status says in the end what was appended. The payload may be moved from.
  virtual void encode(const ReplyTo& to, Reply& reply, Replies& replies) const noexcept = 0;

  // Sends what was appended, and clears it; returns how many answers could be delivered.
  virtual std::size_t send(Replies& replies) noexcept = 0;
};

}  // namespace evpool
