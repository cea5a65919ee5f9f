#include "bench/group_guard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>

namespace evpool::bench {

// The watcher is a shell and not a fork of this process: two that share their memory pay for each
// page that one of them writes, which would be measured.
GroupGuard::GroupGuard(pid_t group) {
  std::array<int, 2> pipe{};
  if (pipe2(pipe.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe2");
  }
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, pipe[0], STDIN_FILENO);
  // Whoever reads our output until its end must not wait for the watcher's.
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // In a group of its own, so that no Ctrl-C ends it before its time.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);

  std::string name = "sh";
  std::string option = "-c";
  std::string script = fmt::format("read -r line || kill -s KILL -- -{}", group);
  const std::array<char*, 4> arguments = {name.data(), option.data(), script.data(), nullptr};
  const int error =
      posix_spawn(&watcher_, "/bin/sh", &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  close(pipe[0]);
  alive_ = pipe[1];
  if (error == 0) return;
  close(alive_);
  throw std::system_error(error, std::generic_category(), "cannot start /bin/sh");
}

GroupGuard::~GroupGuard() {
  kill(watcher_, SIGKILL);
  while (waitpid(watcher_, nullptr, 0) < 0 && errno == EINTR) {
  }
  close(alive_);
}

}  // namespace evpool::bench
