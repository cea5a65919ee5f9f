#include "console/write_fully.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace evpool {

std::size_t write_fully(int descriptor, std::string_view bytes) noexcept {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t taken = write(descriptor, bytes.data() + written, bytes.size() - written);
    if (taken >= 0) {
      written += static_cast<std::size_t>(taken);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd room = {.fd = descriptor, .events = POLLOUT, .revents = 0};
      poll(&room, 1, -1);
    } else if (errno != EINTR) {
      break;
    }
  }
  return written;
}

}  // namespace evpool
