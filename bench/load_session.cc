#include "bench/load_session.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <string_view>

#include "bench/live_display.h"
#include "bench/load/answering_address.h"
#include "client/client.h"

namespace evpool::bench {
namespace {

// A server that hangs must not hold up its own report.
constexpr std::chrono::milliseconds kStatisticsTimeout{1'000};

// "name value" on each line; nothing when the server has no such job.
Counters ask_for_statistics(const LoadOptions& options) {
  Counters counters;
  Client client(options.server, {.udp = options.transport == Transport::udp});
  const CallResult reply =
      client.call("stats", "", {.timeout = std::min(options.timeout, kStatisticsTimeout)});
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

LoadSession::LoadSession(bool live)
    : live_(live), interrupts_(control_.stop_requests, Interrupts::Second::is_counted) {}

LoadResult LoadSession::run(const LoadOptions& options) {
  const auto stop_requests = [this] { return control_.stop_requests.load(); };
  const auto dialect = make_frame_dialect();
  // The statistics must be of the server that the load goes to.
  LoadOptions reached = options;
  if (options.transport == Transport::udp) {
    reached.server = answering_address(options.server, *dialect, options.timeout);
  }
  Counters before;
  if (stop_requests() == 0) before = ask_for_statistics(reached);
  LoadResult result = run(reached, *dialect);
  result.options.server = options.server;
  if (stop_requests() > 1) return result;  // it is to report at once
  try {
    result.server = difference(before, ask_for_statistics(reached));
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
