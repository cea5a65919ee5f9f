// Packets of gearmand's binary protocol: a magic, a type, a length, and arguments separated by NUL;
// gearmand's own PROTOCOL document describes them. Those that the peer rows need, and no others.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace evpool::bench {

enum class GearmanType : std::uint32_t {
  can_do = 1,
  pre_sleep = 4,
  noop = 6,
  submit_job = 7,
  job_created = 8,
  grab_job = 9,
  no_job = 10,
  job_assign = 11,
  work_complete = 13,
  work_fail = 14,
  error = 19,
};

inline constexpr std::string_view kGearmanRequestMagic{"\0REQ", 4};
inline constexpr std::string_view kGearmanResponseMagic{"\0RES", 4};
inline constexpr std::size_t kGearmanHeaderBytes = 12;
// The same as redis' default; gearmand itself has no limit below 4 GiB.
inline constexpr std::size_t kMaxGearmanBodyBytes = std::size_t{512} << 20U;

// What stands before a job's payload and again before its result: which request it is, since
// WORK_COMPLETE names only a handle of gearmand's making.
inline constexpr std::size_t kGearmanIdDigits = 16;

struct GearmanPacket {
  GearmanType type{};
  std::string_view body;
  std::size_t bytes = 0;  // of the whole packet; 0: it is not all there yet
};

template <typename Bytes>  // std::string or SendBuffer
void append_big_endian(std::uint32_t value, Bytes& out) {
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    out.push_back(static_cast<char>((value >> shift) & 0xFFU));
  }
}

// The header of a request; a body of `body_bytes` follows. REQUIRES: that is within the limit.
template <typename Bytes>
void append_gearman_header(GearmanType type, std::size_t body_bytes, Bytes& out) {
  out.append(kGearmanRequestMagic);
  append_big_endian(static_cast<std::uint32_t>(type), out);
  append_big_endian(static_cast<std::uint32_t>(body_bytes), out);
}

// The first packet in what gearmand sent. Throws std::runtime_error when it is none.
inline GearmanPacket first_gearman_packet(std::string_view bytes) {
  if (!kGearmanResponseMagic.starts_with(bytes.substr(0, kGearmanResponseMagic.size()))) {
    throw std::runtime_error("gearmand sent what is no packet of its binary protocol");
  }
  if (bytes.size() < kGearmanHeaderBytes) return {};
  const auto number_at = [bytes](std::size_t offset) {
    std::uint32_t number = 0;
    for (const char byte : bytes.substr(offset, 4)) {
      number = (number << 8U) | static_cast<unsigned char>(byte);
    }
    return number;
  };
  const std::size_t body_bytes = number_at(8);
  if (body_bytes > kMaxGearmanBodyBytes) {
    throw std::runtime_error("gearmand announced a packet of " + std::to_string(body_bytes) +
                             " bytes");
  }
  if (bytes.size() - kGearmanHeaderBytes < body_bytes) return {};
  return {static_cast<GearmanType>(number_at(4)), bytes.substr(kGearmanHeaderBytes, body_bytes),
          kGearmanHeaderBytes + body_bytes};
}

// Takes the first argument, and the NUL after it, off a packet's body; the last one ends with it.
inline std::string_view take_gearman_argument(std::string_view& body) {
  const std::string_view argument = body.substr(0, body.find('\0'));
  body.remove_prefix(std::min(body.size(), argument.size() + 1));
  return argument;
}

}  // namespace evpool::bench
