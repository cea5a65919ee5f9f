// The numbers of evpool's wire format, version 1. docs/protocol.md is their description; a change
// here is a change there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace evpool {

// The first byte is neither ASCII, nor NUL, nor a TLS record type (0x14 to 0x18), and never occurs
// in UTF-8, so that one port can tell frames from text by it.
inline constexpr std::string_view kFrameMagic =
    "\xF6"
    "ev";
inline constexpr std::uint8_t kProtocolVersion = 1;
inline constexpr std::size_t kFrameHeaderBytes = 24;

inline constexpr std::size_t kMaxJobNameBytes = 255;
inline constexpr std::uint32_t kDefaultMaxPayloadBytes = 64U << 20U;

// The largest payload of an IPv4 UDP datagram: 65,535 less 20 (IP) and 8 (UDP) bytes of header.
inline constexpr std::size_t kMaxDatagramBytes = 65'507;
// Off loopback a datagram must pass any path unfragmented: IPv6 guarantees 1,280 bytes (RFC 8200,
// section 5), less 40 (IP) and 8 (UDP), less room for a tunnel's header.
inline constexpr std::size_t kMaxRemoteDatagramBytes = 1'200;

inline constexpr std::uint16_t kDefaultPort = 6666;

enum class FrameType : std::uint8_t { request = 1, reply = 2, ping = 3, pong = 4 };

// What became of a request. Every request is answered with exactly one of these.
enum class Status : std::uint8_t {
  ok = 0,
  failed = 1,         // the handler ran and failed; the payload says why
  busy = 2,           // a bound was reached; nothing ran; try again later
  expired = 3,        // the deadline passed before the handler started
  cancelled = 4,      // stopped on purpose before or while it ran
  not_found = 5,      // no handler has this name
  too_large = 6,      // the request, or the reply, is over a limit
  bad_request = 7,    // the bytes make no request
  shutting_down = 8,  // the server is draining; nothing ran; try another
};
inline constexpr std::uint8_t kStatusCount = 9;

// The wire's names for outcomes, as people and logs read them: "ok", "not_found", ...
[[nodiscard]] std::string_view name_of(Status status);

enum class Priority : std::uint8_t { normal = 0, high = 1, low = 2 };
inline constexpr std::uint8_t kPriorityCount = 3;

}  // namespace evpool
