#include "server/memory_return.h"

#include <malloc.h>

namespace evpool {

bool MemoryReturn::look() {
  const std::size_t freed_bytes = freed_bytes_.load(std::memory_order_relaxed);
  if (freed_bytes - std::exchange(at_last_look_bytes_, freed_bytes) > kCalmBytes) return false;
  freed_bytes_.store(0, std::memory_order_relaxed);  // so that on_worth comes again
  at_last_look_bytes_ = 0;
  return true;
}

void MemoryReturn::give_back() {
  malloc_trim(0);  // NOLINT(concurrency-mt-unsafe): glibc's takes malloc's locks
}

}  // namespace evpool
