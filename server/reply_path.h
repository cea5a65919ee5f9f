// The way an answer takes back to its peer: a TCP connection or a UDP endpoint.
#pragma once

#include <cstdint>

#include "server/request.h"
#include "server/socket.h"

namespace evpool {

// Which request of a path an answer is for. A value that travels with the job.
struct ReplyTo {
  std::uint64_t id = 0;           // the frame's id, or the request's place in an ordered stream
  bool raw = false;               // UDP: answer without a frame
  std::uint32_t limit_bytes = 0;  // UDP: the largest datagram this peer may be sent
  PeerAddress peer{};             // UDP: where to
};

// Shared by the loop and by every job that owes it an answer, so it outlives the socket's peer; it
// never leads to another peer than the one that asked. All methods may be called from any thread.
class ReplyPath {
 public:
  ReplyPath() = default;
  ReplyPath(const ReplyPath&) = delete;
  ReplyPath& operator=(const ReplyPath&) = delete;
  virtual ~ReplyPath() = default;

  // Whether nobody is there to be answered any more. A hint: it may become true at any time.
  [[nodiscard]] virtual bool gone() const = 0;

  // Replaces a reply that this path cannot carry by a too_large one.
  virtual void fit(const ReplyTo& to, Reply& reply) const = 0;

  // Sends the one answer to `to`; false when it cannot be delivered. REQUIRES: fit() was called.
  // Running out of memory here ends the process: going on would leave a request unanswered.
  virtual bool send(const ReplyTo& to, Reply&& reply) noexcept = 0;
};

}  // namespace evpool
