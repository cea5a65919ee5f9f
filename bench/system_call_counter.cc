#include "bench/system_call_counter.h"

#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>

#include "bench/load/machine_facts.h"

namespace evpool::bench {
namespace {

// What the kernel calls the event "a system call begins".
std::optional<std::uint64_t> event_number() {
  for (const char* const folder : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    const std::string text = read_words(fmt::format("{}/events/raw_syscalls/sys_enter/id", folder));
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc{} && number > 0) return number;
  }
  return std::nullopt;
}

// Below 0: it is not allowed, or the thread has ended.
int open_counter(std::uint64_t event, pid_t thread) {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_TRACEPOINT;
  attributes.size = sizeof(attributes);
  attributes.config = event;
  attributes.inherit = 1;
  return static_cast<int>(
      syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

}  // namespace

SystemCallCounter::SystemCallCounter(pid_t process) {
  const auto event = event_number();
  std::error_code error;
  const std::filesystem::directory_iterator threads(fmt::format("/proc/{}/task", process), error);
  if (!event || error) return;
  for (const auto& thread : threads) {
    const int counter = open_counter(*event, std::stoi(thread.path().filename().string()));
    if (counter >= 0) counters_.push_back(counter);
  }
}

SystemCallCounter::~SystemCallCounter() {
  for (const int counter : counters_) close(counter);
}

std::optional<std::uint64_t> SystemCallCounter::count() const {
  if (counters_.empty()) return std::nullopt;
  std::uint64_t sum = 0;
  for (const int counter : counters_) {
    std::uint64_t value = 0;
    if (read(counter, &value, sizeof(value)) != sizeof(value)) return std::nullopt;
    sum += value;
  }
  return sum;
}

}  // namespace evpool::bench
