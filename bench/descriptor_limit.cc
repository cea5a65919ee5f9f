#include "bench/descriptor_limit.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <stdexcept>

namespace evpool::bench {

void require_descriptors(std::size_t connections, std::size_t threads) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);

  // The standard streams, the files to be written, the connection that asks for statistics, what
  // the libraries open, and evpoold's own; each thread waits on one of its own.
  constexpr std::size_t kBeside = 32;
  const std::size_t needed = connections + threads + kBeside;
  if (limit.rlim_cur >= needed) return;
  throw std::invalid_argument(
      fmt::format("{0} connections need {1} file descriptors, and {2} are allowed here (say ulimit "
                  "-n {1} in the shell before; above ulimit -Hn only root may)",
                  connections, needed, limit.rlim_cur));
}

}  // namespace evpool::bench
