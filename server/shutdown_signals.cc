#include "server/shutdown_signals.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "server/server.h"

namespace evpool {
namespace {

// As the shell reports a process that a signal has ended.
constexpr int kExitBySignal = 128;

// For the signal handler.
std::atomic<int> pipe_for_signals{-1};
std::atomic<int> running_handlers{0};  // which may be about to use the pipe
std::atomic<pid_t> process_of_handlers{0};
// How often each has come and was not acted on; and whether the object is to end.
std::array<std::atomic<int>, NSIG> signals_come{};
std::atomic<bool> ending{false};
static_assert(std::atomic<int>::is_always_lock_free);

bool ends_the_server(int signal) {
  return signal == SIGTERM || signal == SIGINT || signal == SIGQUIT;
}

// When the pipe is full, the thread has not yet looked, and will.
void call_thread() {
  const char byte = 1;
  static_cast<void>(!write(pipe_for_signals.load(), &byte, 1));
}

// Only what signal-safety(7) allows.
extern "C" void pass_on(int signal) {
  const int error_before = errno;
  if (getpid() == process_of_handlers.load()) {
    running_handlers.fetch_add(1);
    signals_come[static_cast<std::size_t>(signal)].fetch_add(1);
    call_thread();
    running_handlers.fetch_sub(1);
  } else {
    // A child between fork and exec shares our pipe, but the signal is for it alone.
    struct sigaction default_action {};
    default_action.sa_handler = SIG_DFL;
    sigaction(signal, &default_action, nullptr);
    raise(signal);
  }
  errno = error_before;
}

}  // namespace

ShutdownSignals::ShutdownSignals(Server& server, std::function<void(int)> on_other)
    : server_(server), on_other_(std::move(on_other)) {
  assert(pipe_for_signals.load() < 0 && "one ShutdownSignals at a time");
  open_pipe();
  const auto act = [](void* self) -> void* {
    static_cast<ShutdownSignals*>(self)->act();
    return nullptr;
  };
  if (const int error = pthread_create(&thread_, nullptr, act, this); error != 0) {
    close_pipe();
    throw std::system_error(error, std::generic_category(),
                            "cannot start the thread that acts on signals (see ulimit -u, the "
                            "cgroup's pids.max)");
  }
  set_handlers();
}

ShutdownSignals::~ShutdownSignals() {
  if (!ignored_) {
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  }
  ending.store(true);
  call_thread();
  pthread_join(thread_, nullptr);
  close_pipe();
}

void ShutdownSignals::ignore() {
  ignored_ = true;
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  for (const int signal : kSignals) sigaction(signal, &action, nullptr);
}

void ShutdownSignals::open_pipe() {
  if (pipe2(pipe_.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot create a pipe for signals");
  }
  // A handler must not wait.
  fcntl(pipe_[1], F_SETFL, O_NONBLOCK);
  pipe_for_signals.store(pipe_[1]);
  ending.store(false);
  for (std::atomic<int>& come : signals_come) come.store(0);
  process_of_handlers.store(getpid());
}

void ShutdownSignals::close_pipe() {
  // A handler that has not been counted yet finds -1.
  pipe_for_signals.store(-1);
  while (running_handlers.load() > 0) sched_yield();
  for (const int descriptor : pipe_) close(descriptor);
}

void ShutdownSignals::set_handlers() {
  struct sigaction action {};
  action.sa_handler = pass_on;
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

void ShutdownSignals::act() {
  // Whoever started this process may have blocked them.
  sigset_t ours;
  sigemptyset(&ours);
  for (const int signal : kSignals) sigaddset(&ours, signal);
  pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
  for (int end_signals = 0;;) {
    // poll, because ThreadSanitizer holds back a signal that comes to a thread which waits in read.
    pollfd waiting = {.fd = pipe_[0], .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, -1) <= 0) continue;
    char byte = 0;
    const ssize_t bytes = read(pipe_[0], &byte, 1);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0 || ending.load()) return;
    for (const int signal : kSignals) {
      const int times = signals_come[static_cast<std::size_t>(signal)].exchange(0);
      if (times == 0) continue;
      if (!ends_the_server(signal)) {
        if (on_other_) on_other_(signal);
        continue;
      }
      const int before = std::exchange(end_signals, end_signals + times);
      if (before == 0) server_.drain();
      if (end_signals > 1) std::_Exit(kExitBySignal + signal);
    }
  }
}

}  // namespace evpool
