#include "console/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace evpool {
namespace {

// REQUIRES: the descriptors below it are open, so that open() gives this one.
void open_if_closed(int descriptor, int mode) {
  if (fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) return;
  // Nothing can be done when /dev/null cannot be opened, nor said.
  static_cast<void>(open("/dev/null", mode));
}

}  // namespace

void open_standard_streams(ClosedOutput closed_output) noexcept {
  // Open the wrong way round, a descriptor is taken and yet every use of it fails.
  open_if_closed(STDIN_FILENO, O_WRONLY);
  open_if_closed(STDOUT_FILENO, closed_output == ClosedOutput::is_an_error ? O_RDONLY : O_WRONLY);
  open_if_closed(STDERR_FILENO, O_WRONLY);
}

std::optional<std::string> flush_standard_output() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return std::nullopt;
  // What failed earlier has left its mark, but not its reason.
  return errno == 0 ? "an earlier write failed" : std::generic_category().message(errno);
}

}  // namespace evpool
