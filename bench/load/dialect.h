// How the generator speaks to a server: what a request looks like, and where a reply ends. One
// dialect is evpool's own; the others are those of the servers it is compared with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "bench/load/send_buffer.h"
#include "protocol/constants.h"

namespace evpool::bench {

struct OutgoingRequest {
  std::uint64_t id = 0;
  std::string_view job;
  std::string_view payload;
  std::uint32_t timeout_ms = 0;
  Priority priority = Priority::normal;
};

struct IncomingReply {
  // None: the dialect has no ids, and this answers the oldest request of its connection.
  std::optional<std::uint64_t> id;
  Status status = Status::ok;
  std::string_view payload;  // valid until the reader's next call
};

// Cuts what one TCP connection receives into replies. Throws std::runtime_error when the peer does
// not speak the dialect.
class ReplyReader {
 public:
  virtual ~ReplyReader() = default;
  // Where to receive next, for large replies; empty: anywhere, and then push().
  [[nodiscard]] virtual std::span<char> space() { return {}; }
  // REQUIRES: what was pushed before is consumed; valid until next() says 0.
  virtual void push(std::string_view bytes) = 0;
  // `bytes` of space() have been filled.
  virtual void received(std::size_t /*bytes*/) {}
  // The next replies, at most as many as `replies` has room for. 0: it needs more bytes.
  // REQUIRES: there is room.
  [[nodiscard]] virtual std::size_t next(std::span<IncomingReply> replies) = 0;
};

// Stateless but for what its constructor was told; used by several threads. Requests and replies go
// through it many at a time: at millions a second, a call for each would be felt.
class Dialect {
 public:
  virtual ~Dialect() = default;
  virtual void append_requests(std::span<const OutgoingRequest> requests,
                               SendBuffer& out) const = 0;
  [[nodiscard]] virtual std::unique_ptr<ReplyReader> make_reader() const = 0;
  // Otherwise replies come in the order of their requests.
  [[nodiscard]] virtual bool has_ids() const { return true; }
  // A datagram as a reply; false when it is none.
  virtual bool read_datagram(std::string_view datagram, IncomingReply& reply) const = 0;
  // A datagram that a server answers without a job, if the dialect has one; empty otherwise.
  [[nodiscard]] virtual std::string datagram_probe() const { return {}; }
  // Sent once on each new connection, before anything else; its answer is read by the reader and
  // must not come out of it as a reply.
  [[nodiscard]] virtual std::string greeting() const { return {}; }
};

// evpool's frames.
[[nodiscard]] std::unique_ptr<Dialect> make_frame_dialect();
// No frames at all, for the floors: a request is its payload, a reply has as many bytes.
[[nodiscard]] std::unique_ptr<Dialect> make_raw_dialect(std::uint32_t bytes);

}  // namespace evpool::bench
