#include "bench/load_session.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "bench/live_display.h"
#include "client/client.h"

namespace evpool::bench {
namespace {

// The session's count, for the signal handler.
std::atomic<int>* interrupts = nullptr;

extern "C" void count_interrupt(int /*signal*/) {
  if (interrupts != nullptr) interrupts->fetch_add(1);
}

void handle_interrupts(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

// "name value" on each line; nothing when the server has no such job.
Counters ask_for_statistics(const LoadOptions& options) {
  Counters counters;
  Client client(options.server, {.udp = options.transport == Transport::udp});
  const CallResult reply = client.call("stats", "", {.timeout = options.timeout});
  if (!reply.ok()) return counters;
  std::string_view rest = reply.payload;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) continue;
    std::uint64_t value = 0;
    std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
    counters.emplace_back(line.substr(0, space), value);
  }
  return counters;
}

Counters difference(const Counters& before, Counters after) {
  if (before.size() != after.size()) return {};
  std::erase_if(after, [](const auto& counter) { return counter.first == "connections_open"; });
  for (auto& counter : after) {
    const auto same = std::find_if(before.begin(), before.end(), [&counter](const auto& other) {
      return other.first == counter.first;
    });
    if (same != before.end()) counter.second -= std::min(same->second, counter.second);
  }
  return after;
}

}  // namespace

LoadSession::LoadSession(bool live) : live_(live) {
  interrupts = &control_.stop_requests;
  handle_interrupts(count_interrupt);
}

LoadSession::~LoadSession() {
  handle_interrupts(SIG_DFL);
  interrupts = nullptr;
}

LoadResult LoadSession::run(const LoadOptions& options) {
  const Counters before = ask_for_statistics(options);
  LoadResult result = run(options, *make_frame_dialect());
  try {
    result.server = difference(before, ask_for_statistics(options));
  } catch (const ConnectError&) {
    // It has gone away. That does not make what was measured unknown; if it went during the run,
    // the result says so itself.
  }
  return result;
}

LoadResult LoadSession::run(const LoadOptions& options, const Dialect& dialect) {
  LiveDisplay display(stderr, live_ && isatty(STDERR_FILENO) == 1);
  control_.on_interval = [&display](const Progress& progress) { display.show(progress); };
  return run_load(options, dialect, control_);
}

}  // namespace evpool::bench
