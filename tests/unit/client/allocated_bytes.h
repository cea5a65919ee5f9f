// How much memory the program has allocated, for tests that say how much it may be.
#pragma once

#include <malloc.h>

#include <cstddef>

// A sanitizer's allocator does not fill mallinfo2().
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EVPOOL_HAS_SANITIZER_ALLOCATOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define EVPOOL_HAS_SANITIZER_ALLOCATOR 1
#endif
#endif

namespace evpool {

inline std::size_t allocated_bytes() {
  const struct mallinfo2 memory = mallinfo2();
  return memory.uordblks + memory.hblkhd;
}

}  // namespace evpool
