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

void throw_no_thread(const char* what, const std::system_error& error) {
  throw std::runtime_error(
      fmt::format("cannot start {}: {} (are there too many threads? see ulimit -u, or the "
                  "container's limit of pids)",
                  what, error.code().message()));
}

double thread_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace evpool::bench
