// Where things are inside a frame's header, for what reads and writes millions of frames of a few
// known kinds; docs/protocol.md has the table. Everything else asks protocol/frame.h, and a test
// holds the two together.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace evpool::bench {

inline constexpr std::size_t kPriorityOrStatusOffset = 6;
inline constexpr std::size_t kNameBytesOffset = 7;
inline constexpr std::size_t kIdOffset = 8;
inline constexpr std::size_t kIdBytes = 8;
inline constexpr std::size_t kTimeoutOffset = 16;
inline constexpr std::size_t kPayloadBytesOffset = 20;

template <std::unsigned_integral Integer>
Integer to_or_from_big_endian(Integer value) {
  static_assert(sizeof(Integer) == 8 || sizeof(Integer) == 4);
  if constexpr (std::endian::native == std::endian::big) return value;
  if constexpr (sizeof(Integer) == 8) return __builtin_bswap64(value);
  return static_cast<Integer>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
}

template <std::unsigned_integral Integer>
void store_big_endian(Integer value, char* to) {
  value = to_or_from_big_endian(value);
  std::memcpy(to, &value, sizeof(value));
}

template <std::unsigned_integral Integer>
Integer load_big_endian(const char* from) {
  Integer value = 0;
  std::memcpy(&value, from, sizeof(value));
  return to_or_from_big_endian(value);
}

}  // namespace evpool::bench
