// One frame of the wire format: a header of 24 bytes, a job name, a payload. See docs/protocol.md.
//
// Thread-safe: free functions over values. Nothing here allocates on the word of a length field
// before that length has been checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "constants.h"

namespace evpool {

struct FrameHeader {
  FrameType type = FrameType::request;
  Priority priority = Priority::normal;  // of a request
  Status status = Status::ok;            // of a reply
  std::uint8_t name_bytes = 0;           // of a request: 1 to 255; otherwise 0
  std::uint64_t id = 0;                  // chosen by the client; the reply repeats it
  std::uint32_t timeout_ms = 0;          // of a request, from its receipt on; 0: none given
  std::uint32_t payload_bytes = 0;
};

struct Frame {
  FrameHeader header;
  std::string name;
  std::string payload;
};

// A frame whose bytes are elsewhere, for as long as its giver says.
struct FrameView {
  FrameHeader header = {};
  std::string_view name = {};
  std::string_view payload = {};
  std::string* body = nullptr;  // holds the payload, if it was received there; may be moved from
};

enum class FrameError : std::uint8_t {
  none,
  truncated,     // the bytes end before the frame does
  trailing,      // bytes follow the frame in its datagram
  bad_magic,     // not a frame at all
  bad_version,   // a frame of a version other than 1; the id is valid
  bad_type,      // the id is valid, here and below
  bad_flags,     // a reserved bit is set
  bad_priority,  // a request's priority is not one of ours
  bad_status,    // a reply's status is not one of ours
  bad_name,      // a request without a name, or another frame with one
  bad_timeout,   // a timeout on a frame that is not a request
  bad_payload,   // a payload on a ping or pong
  over_limit,    // the payload is longer than the receiver takes
};

// A sentence for people, for every error but `none`.
[[nodiscard]] std::string_view explain(FrameError error);

// Appends the header's 24 bytes to `out`.
void append_header(const FrameHeader& header, std::string& out);

// Appends a whole frame. REQUIRES: 1 <= name.size() <= kMaxJobNameBytes; payload.size() fits 32
// bits.
void append_request(std::uint64_t id, std::string_view name, std::string_view payload,
                    std::uint32_t timeout_ms, Priority priority, std::string& out);
// The header of a reply whose payload follows separately.
void append_reply_header(std::uint64_t id, Status status, std::uint32_t payload_bytes,
                         std::string& out);

// Reads a header from the first 24 bytes of `bytes`; `truncated` when there are fewer and they are
// right so far. From `bad_version` on, header.id is what the frame said; before it is 0.
[[nodiscard]] FrameError decode_header(std::string_view bytes, FrameHeader& header);

// Whether a datagram is meant to be a frame: it starts with the magic.
[[nodiscard]] bool looks_like_frame(std::string_view datagram);

// Whether a datagram that looks like a frame may be answered, be it right or wrong: its type is not
// a reply's or pong's, and all of its header is there. Two servers that answered each other's
// answers would never stop.
[[nodiscard]] bool is_answerable(std::string_view datagram);

// Reads a datagram that must hold exactly one frame; the view is one of the datagram.
[[nodiscard]] FrameError decode_datagram(std::string_view datagram, FrameView& frame);
[[nodiscard]] FrameError decode_datagram(std::string_view datagram, Frame& frame);

}  // namespace evpool
