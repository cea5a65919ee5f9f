#include "bench/load/system.h"

#include <fmt/format.h>
#include <time.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace evpool::bench {

void throw_errno(const char* what) {
  throw std::runtime_error(
      fmt::format("{}: {}", what, std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
}

double thread_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace evpool::bench
