#include "console/diagnostic.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <exception>
#include <string>

#include "console/printable.h"

namespace evpool {
namespace {

// Blocks SIGPIPE in this thread while it lives, and takes with it the one that a write has caused.
class SigpipeHeldBack {
 public:
  SigpipeHeldBack() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  ~SigpipeHeldBack() {
    const timespec now{};
    if (!was_pending_) {
      while (sigtimedwait(&sigpipe_, nullptr, &now) < 0 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeHeldBack(const SigpipeHeldBack&) = delete;
  SigpipeHeldBack& operator=(const SigpipeHeldBack&) = delete;

 private:
  sigset_t sigpipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

}  // namespace

void say(std::string_view lines) noexcept {
  const int error_before = errno;
  {
    const SigpipeHeldBack sigpipe_held_back;
    while (!lines.empty()) {
      const ssize_t written = write(STDERR_FILENO, lines.data(), lines.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) break;
      lines.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  errno = error_before;
}

void complain(std::string_view program, std::string_view text) noexcept {
  try {
    say(std::string(program) + ": " + printable(text) + "\n");
  } catch (const std::exception&) {
    say("out of memory while reporting an error\n");
  }
}

}  // namespace evpool
