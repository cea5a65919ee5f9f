#include "protocol/frame.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <concepts>
#include <cstring>

namespace evpool {
namespace {

// Byte offsets inside the header; docs/protocol.md has the table.
constexpr std::size_t kVersionOffset = 3;
constexpr std::size_t kTypeOffset = 4;
constexpr std::size_t kFlagsOffset = 5;
constexpr std::size_t kPriorityOrStatusOffset = 6;
constexpr std::size_t kNameBytesOffset = 7;
constexpr std::size_t kIdOffset = 8;
constexpr std::size_t kTimeoutOffset = 16;
constexpr std::size_t kPayloadBytesOffset = 20;

// The two below compile to one instruction each; loops over the bytes do not.
template <std::unsigned_integral Integer>
Integer swap_to_big_endian(Integer value) {
  if constexpr (std::endian::native == std::endian::big) return value;
  if constexpr (sizeof(Integer) == 8) return __builtin_bswap64(value);
  static_assert(sizeof(Integer) == 8 || sizeof(Integer) == 4);
  return static_cast<Integer>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
}

template <std::unsigned_integral Integer>
void store_big_endian(Integer value, char* to) {
  value = swap_to_big_endian(value);
  std::memcpy(to, &value, sizeof(value));
}

template <std::unsigned_integral Integer>
Integer load_big_endian(const char* from) {
  Integer value = 0;
  std::memcpy(&value, from, sizeof(value));
  return swap_to_big_endian(value);
}

std::uint8_t byte_at(std::string_view bytes, std::size_t offset) {
  return static_cast<std::uint8_t>(bytes[offset]);
}

FrameError check_request(std::uint8_t priority, FrameHeader& header) {
  if (priority >= kPriorityCount) return FrameError::bad_priority;
  header.priority = static_cast<Priority>(priority);
  return header.name_bytes == 0 ? FrameError::bad_name : FrameError::none;
}

FrameError check_reply(std::uint8_t status, FrameHeader& header) {
  if (status >= kStatusCount) return FrameError::bad_status;
  header.status = static_cast<Status>(status);
  if (header.name_bytes != 0) return FrameError::bad_name;
  return header.timeout_ms != 0 ? FrameError::bad_timeout : FrameError::none;
}

FrameError check_ping_or_pong(const FrameHeader& header) {
  if (header.name_bytes != 0) return FrameError::bad_name;
  if (header.timeout_ms != 0) return FrameError::bad_timeout;
  return header.payload_bytes != 0 ? FrameError::bad_payload : FrameError::none;
}

}  // namespace

std::string_view name_of(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::failed:
      return "failed";
    case Status::busy:
      return "busy";
    case Status::expired:
      return "expired";
    case Status::cancelled:
      return "cancelled";
    case Status::not_found:
      return "not_found";
    case Status::too_large:
      return "too_large";
    case Status::bad_request:
      return "bad_request";
    case Status::shutting_down:
      return "shutting_down";
  }
  return "unknown";
}

std::string_view explain(FrameError error) {
  switch (error) {
    case FrameError::none:
      return "no error";
    case FrameError::truncated:
      return "the frame is cut short";
    case FrameError::trailing:
      return "bytes follow the frame in its datagram";
    case FrameError::bad_magic:
      return "the bytes do not start with the frame magic F6 65 76";
    case FrameError::bad_version:
      return "unknown protocol version; this side speaks version 1";
    case FrameError::bad_type:
      return "unknown frame type, or one that does not belong here";
    case FrameError::bad_flags:
      return "a reserved flag is set; version 1 defines none";
    case FrameError::bad_priority:
      return "unknown priority; 0 normal, 1 high, 2 low";
    case FrameError::bad_status:
      return "unknown status";
    case FrameError::bad_name:
      return "a request needs a job name, and no other frame has one";
    case FrameError::bad_timeout:
      return "only a request has a timeout";
    case FrameError::bad_payload:
      return "a ping or pong has no payload";
    case FrameError::over_limit:
      return "the payload is longer than the limit";
  }
  return "unknown error";
}

void append_header(const FrameHeader& header, std::string& out) {
  std::array<char, kFrameHeaderBytes> bytes{};
  std::copy(kFrameMagic.begin(), kFrameMagic.end(), bytes.begin());
  bytes[kVersionOffset] = static_cast<char>(kProtocolVersion);
  bytes[kTypeOffset] = static_cast<char>(header.type);
  bytes[kPriorityOrStatusOffset] = header.type == FrameType::reply
                                       ? static_cast<char>(header.status)
                                       : static_cast<char>(header.priority);
  bytes[kNameBytesOffset] = static_cast<char>(header.name_bytes);
  store_big_endian(header.id, &bytes[kIdOffset]);
  store_big_endian(header.timeout_ms, &bytes[kTimeoutOffset]);
  store_big_endian(header.payload_bytes, &bytes[kPayloadBytesOffset]);
  out.append(bytes.data(), bytes.size());
}

void append_request(std::uint64_t id, std::string_view name, std::string_view payload,
                    std::uint32_t timeout_ms, Priority priority, std::string& out) {
  assert(!name.empty() && name.size() <= kMaxJobNameBytes);
  assert(payload.size() <= UINT32_MAX);
  append_header({.type = FrameType::request,
                 .priority = priority,
                 .name_bytes = static_cast<std::uint8_t>(name.size()),
                 .id = id,
                 .timeout_ms = timeout_ms,
                 .payload_bytes = static_cast<std::uint32_t>(payload.size())},
                out);
  out.append(name);
  out.append(payload);
}

void append_reply_header(std::uint64_t id, Status status, std::uint32_t payload_bytes,
                         std::string& out) {
  append_header(
      {.type = FrameType::reply, .status = status, .id = id, .payload_bytes = payload_bytes}, out);
}

FrameError decode_header(std::string_view bytes, FrameHeader& header) {
  header = {};
  if (!kFrameMagic.starts_with(bytes.substr(0, kFrameMagic.size()))) return FrameError::bad_magic;
  if (bytes.size() < kFrameHeaderBytes) return FrameError::truncated;

  header.id = load_big_endian<std::uint64_t>(&bytes[kIdOffset]);
  header.name_bytes = byte_at(bytes, kNameBytesOffset);
  header.timeout_ms = load_big_endian<std::uint32_t>(&bytes[kTimeoutOffset]);
  header.payload_bytes = load_big_endian<std::uint32_t>(&bytes[kPayloadBytesOffset]);

  if (byte_at(bytes, kVersionOffset) != kProtocolVersion) return FrameError::bad_version;
  const std::uint8_t type = byte_at(bytes, kTypeOffset);
  if (type < static_cast<std::uint8_t>(FrameType::request) ||
      type > static_cast<std::uint8_t>(FrameType::pong)) {
    return FrameError::bad_type;
  }
  header.type = static_cast<FrameType>(type);
  if (byte_at(bytes, kFlagsOffset) != 0) return FrameError::bad_flags;
  const std::uint8_t priority_or_status = byte_at(bytes, kPriorityOrStatusOffset);
  switch (header.type) {
    case FrameType::request:
      return check_request(priority_or_status, header);
    case FrameType::reply:
      return check_reply(priority_or_status, header);
    case FrameType::ping:
    case FrameType::pong:
      return priority_or_status != 0 ? FrameError::bad_priority : check_ping_or_pong(header);
  }
  return FrameError::bad_type;
}

bool looks_like_frame(std::string_view datagram) { return datagram.starts_with(kFrameMagic); }

bool is_answerable(std::string_view datagram) {
  if (datagram.size() < kFrameHeaderBytes) return false;
  const auto type = static_cast<FrameType>(byte_at(datagram, kTypeOffset));
  return type != FrameType::reply && type != FrameType::pong;
}

FrameError decode_datagram(std::string_view datagram, FrameView& frame) {
  if (const FrameError error = decode_header(datagram, frame.header); error != FrameError::none) {
    return error;
  }
  const std::string_view body = datagram.substr(kFrameHeaderBytes);
  const std::size_t name_bytes = frame.header.name_bytes;
  const std::size_t payload_bytes = frame.header.payload_bytes;
  if (body.size() < name_bytes + payload_bytes) return FrameError::truncated;
  if (body.size() > name_bytes + payload_bytes) return FrameError::trailing;
  frame.name = body.substr(0, name_bytes);
  frame.payload = body.substr(name_bytes);
  return FrameError::none;
}

FrameError decode_datagram(std::string_view datagram, Frame& frame) {
  FrameView view;
  const FrameError error = decode_datagram(datagram, view);
  frame.header = view.header;
  if (error != FrameError::none) return error;
  frame.name.assign(view.name);
  frame.payload.assign(view.payload);
  return error;
}

}  // namespace evpool
