#include "bench/interrupts.h"

#include <signal.h>

namespace evpool::bench {
namespace {

// For the signal handler.
std::atomic<int>* interrupts = nullptr;

extern "C" void count_interrupt(int /*signal*/) {
  if (interrupts != nullptr) interrupts->fetch_add(1);
}

void handle_interrupts(void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

Interrupts::Interrupts(std::atomic<int>& count, Second second) {
  interrupts = &count;
  handle_interrupts(count_interrupt, second == Second::ends_the_process
                                         ? static_cast<int>(SA_RESETHAND | SA_RESTART)
                                         : 0);
}

Interrupts::~Interrupts() {
  handle_interrupts(SIG_DFL, 0);
  interrupts = nullptr;
}

}  // namespace evpool::bench
