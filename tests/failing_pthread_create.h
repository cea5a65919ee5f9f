// A seam for tests: their program is linked with --wrap=pthread_create, so that the code under test
// starts threads through this, which fails with EAGAIN at the call it is told to.
#pragma once

#include <dirent.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <string>
#include <thread>

#include "tests/becomes_true.h"

namespace evpool {

// -1: never. 0: the next call fails; k: k calls succeed first. Then it never fails again.
inline std::atomic<int> pthread_create_calls_until_failure{-1};

inline std::size_t count_entries(const char* folder) {
  std::size_t count = 0;
  DIR* const entries = opendir(folder);
  assert(entries != nullptr);
  while (readdir(entries) != nullptr) ++count;
  closedir(entries);
  return count;
}
inline std::size_t count_descriptors() { return count_entries("/proc/self/fd"); }

// The threads to compare with later. Starts one first: a sanitizer adds its own with the first.
inline std::size_t count_threads() {
  pid_t first = 0;
  std::thread([&first] { first = gettid(); }).join();
  const std::string entry = "/proc/self/task/" + std::to_string(first);
  becomes_true([&entry] { return access(entry.c_str(), F_OK) != 0; });
  return count_entries("/proc/self/task");
}

// Waits a little: the kernel lists a thread for a moment after it was joined.
inline bool threads_become(std::size_t expected) {
  return becomes_true([expected] { return count_entries("/proc/self/task") == expected; });
}

}  // namespace evpool

extern "C" {
int __real_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
int __wrap_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
}

// In one file of the program.
#define EVPOOL_DEFINE_FAILING_PTHREAD_CREATE                                                \
  extern "C" int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, \
                                       void* (*start)(void*), void* argument) {             \
    if (evpool::pthread_create_calls_until_failure.load() >= 0 &&                           \
        evpool::pthread_create_calls_until_failure.fetch_sub(1) == 0) {                     \
      return EAGAIN;                                                                        \
    }                                                                                       \
    return __real_pthread_create(thread, attributes, start, argument);                      \
  }
