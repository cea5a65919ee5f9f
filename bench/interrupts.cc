#include "bench/interrupts.h"

#include <cstddef>

namespace evpool::bench {
namespace {

// For the signal handler.
std::atomic<int>* interrupts = nullptr;

extern "C" void count_interrupt(int /*signal*/) {
  if (interrupts != nullptr) interrupts->fetch_add(1);
}

}  // namespace

Interrupts::Interrupts(std::atomic<int>& count, Second second) {
  interrupts = &count;
  struct sigaction action {};
  action.sa_handler = count_interrupt;
  action.sa_flags =
      second == Second::ends_the_process ? static_cast<int>(SA_RESETHAND | SA_RESTART) : 0;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    if (kSignals[i] == SIGHUP && before_[i].sa_handler == SIG_IGN) continue;
    sigaction(kSignals[i], &action, nullptr);
  }
}

Interrupts::~Interrupts() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  interrupts = nullptr;
}

}  // namespace evpool::bench
