#include "server/shutdown_signals.h"

#include <pthread.h>
#include <signal.h>

#include <cstdlib>
#include <utility>

namespace evpool {
namespace {

// As the shell reports a process that a signal has ended.
constexpr int kExitBySignal = 128;

sigset_t shutdown_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

void block_shutdown_signals() {
  const sigset_t signals = shutdown_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

ShutdownSignals::ShutdownSignals(std::function<void()> on_first)
    : on_first_(std::move(on_first)), thread_([this] { wait(); }) {}

ShutdownSignals::~ShutdownSignals() {
  ending_.store(true);
  // NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread): it waits for the signal, which is blocked
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
}

void ShutdownSignals::wait() {
  const sigset_t signals = shutdown_signals();
  for (bool first = true;; first = false) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (ending_.load()) return;
    if (!first) std::_Exit(kExitBySignal + signal);
    on_first_();
  }
}

}  // namespace evpool
