// What a run of the load generator found.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bench/load/account.h"
#include "bench/load/latency_histogram.h"
#include "bench/load/load_options.h"

namespace evpool::bench {

// One interval of the time series, by the time of sending and of the reply's arrival.
struct IntervalRow {
  double begin_s = 0;  // since the end of the warm-up; below 0 before it
  double length_s = 0;
  std::uint64_t sent = 0;
  std::uint64_t ok = 0;
  std::uint64_t refused = 0;
  std::uint64_t wrong = 0;
  std::uint64_t lost = 0;
  std::uint64_t in_flight = 0;  // at its end
  std::uint64_t p50_ns = 0;     // of ok, from the intended time
  std::uint64_t p99_ns = 0;
  std::uint64_t max_ns = 0;
  std::uint64_t lag_max_ns = 0;
};

// Names and values in an order fit for reading: a server's statistics.
using Counters = std::vector<std::pair<std::string, std::uint64_t>>;

struct LoadResult {
  LoadOptions options;
  Account account;

  // From the end of the warm-up to the last measured reply or the end of sending, whichever is
  // later: a server that answers nothing any more has had that time, too.
  double seconds = 0;
  double sending_s = 0;  // to the end of sending
  // For how long before that a thread of the generator has had no reply, though it waited for one
  // that never came. 0 over UDP while it waited for few: datagrams may be lost.
  double silent_s = 0;
  // Of `ok`. Latency counts from when a request was due, and so includes all that a slow server
  // kept it waiting; service counts from when it was sent. In a closed loop they are the same.
  LatencyHistogram latency;
  LatencyHistogram service;
  // From when a request was due, or the place in flight for it was free, to its sending: what the
  // generator itself was late. Of all measured requests; empty in a closed loop.
  LatencyHistogram lag;
  std::uint64_t held_back = 0;  // were due while no connection had a place in flight free

  std::vector<IntervalRow> series;

  // Of the generator's threads, since the end of the warm-up.
  double cpu_seconds = 0;
  std::uint64_t send_calls = 0;
  std::uint64_t receive_calls = 0;
  bool offload_used = false;  // UDP_SEGMENT or UDP_GRO

  // By how much the server's own statistics grew; empty when it has none to give.
  Counters server;

  // Why the first connection that could not be made anew could not; empty: all could.
  std::string connect_failure;
  // Why the run broke off in its midst; empty: it did not. What was counted until then is here.
  std::string broke_off;

  bool interrupted = false;
  // Why this run must not be believed; empty: it may be.
  std::vector<std::string> invalid;
  // One of these is that the generator could not do what it was asked to: the run says nothing of
  // the server, not even that it is too slow.
  bool generator_limited = false;

  [[nodiscard]] double jobs_per_second() const {
    return seconds > 0 ? static_cast<double>(account.ok) / seconds : 0;
  }
};

}  // namespace evpool::bench
