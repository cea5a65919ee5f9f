#include "tests/unit/threadpool/failing_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>

extern "C" {
void* __real_mmap(void*, std::size_t, int, int, int, off_t);
int __real_munmap(void*, std::size_t);
int __real_madvise(void*, std::size_t, int);

void* __wrap_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  if (evpool::mmap_fails.exchange(false)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  evpool::maps_held.fetch_add(1);
  return __real_mmap(at, bytes, protection, flags, file, offset);
}
int __wrap_munmap(void* at, std::size_t bytes) {
  evpool::maps_held.fetch_sub(1);
  return __real_munmap(at, bytes);
}
int __wrap_madvise(void* at, std::size_t bytes, int advice) {
  if (evpool::madvise_fails.exchange(false)) {
    errno = EINVAL;
    return -1;
  }
  return __real_madvise(at, bytes, advice);
}
}
