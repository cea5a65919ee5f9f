#include "bench/load/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include "bench/load/answering_address.h"
#include "bench/load/collector.h"
#include "bench/load/faults.h"
#include "bench/load/load_thread.h"
#include "bench/load/system.h"
#include "bench/load/workload.h"

namespace evpool::bench {
namespace {

void refuse(bool wrong, const std::string& why) {
  if (wrong) throw std::invalid_argument(why);
}

void check(const LoadOptions& options) {
  refuse(options.threads < 1 || options.connections < options.threads,
         fmt::format("{} threads need at least as many connections, not {}", options.threads,
                     options.connections));
  refuse(options.in_flight < 1, "at least one request must be in flight on each connection");
  const std::size_t each = (options.connections + options.threads - 1) / options.threads;
  refuse(options.in_flight > RequestTable::kMostPending / each,
         fmt::format("{} x {} requests in flight on a thread are more than {}", each,
                     options.in_flight, RequestTable::kMostPending));
  refuse(options.rate && !(*options.rate > 0 && *options.rate <= kMostRate),
         "the rate must be above 0 and at most 1e9, one request a nanosecond");
  refuse(options.burst_requests < 1, "a burst has at least one request");
  refuse(options.timeout.count() < 1, "a timeout lasts at least 1ms");
  refuse(options.interval.count() < 1, "an interval lasts at least 1ms");
  const Impairment& impairment = options.impairment;
  for (const double chance : {impairment.drop, impairment.duplicate, impairment.reorder}) {
    refuse(!(chance >= 0 && chance <= 1), "a probability is 0% to 100%");
  }
  refuse(impairment.any() && options.transport == Transport::tcp,
         "only datagrams can be dropped, doubled or reordered (use udp)");
  refuse(options.reconnect_every > 0 && options.transport == Transport::udp,
         "UDP sockets have no connection to make anew");
}

void add(LoadResult& result, const ThreadResult& thread) {
  result.account.add(thread.account);
  result.service.merge(thread.service);
  result.held_back += thread.held_back;
  result.seconds = std::max(result.seconds, thread.seconds);
  result.sending_s = std::max(result.sending_s, thread.sending_s);
  result.silent_s = std::max(result.silent_s, thread.silent_s);
  result.cpu_seconds += thread.cpu_seconds;
  result.send_calls += thread.send_calls;
  result.receive_calls += thread.receive_calls;
  result.offload_used |= thread.offload_used;
  if (result.connect_failure.empty()) result.connect_failure = thread.connect_failure;
  if (result.broke_off.empty()) result.broke_off = thread.broke_off;
}

}  // namespace

LoadResult run_load(const LoadOptions& asked, const Dialect& dialect, RunControl& control) {
  check(asked);
  LoadOptions options = asked;
  if (options.transport == Transport::udp) {
    options.server = answering_address(asked.server, dialect, asked.timeout);
  }
  const Workload workload(options);
  const double interval_s = std::chrono::duration<double>(options.interval).count();
  Collector collector(options.threads, interval_s);
  LoadRun run{.options = options,
              .dialect = dialect,
              .workload = workload,
              .collector = collector,
              .stop_requests = control.stop_requests};

  LoadResult result;
  result.options = asked;
  std::uint64_t answered = 0;
  double ended_s = 0;
  std::exception_ptr failure;
  std::mutex mutex;  // guards the four above
  std::barrier connected(static_cast<std::ptrdiff_t>(options.threads),
                         [&run]() noexcept { run.begin = std::chrono::steady_clock::now(); });
  const auto work = [&](std::size_t number) {
    const auto guarded = [&](const auto& step) {
      try {
        step();
      } catch (...) {
        run.failed.store(true);
        const std::lock_guard lock(mutex);
        if (failure == nullptr) failure = std::current_exception();
      }
    };
    std::unique_ptr<LoadThread> thread;
    guarded([&] {
      thread = std::make_unique<LoadThread>(run, number);
      thread->connect();
    });
    connected.arrive_and_wait();
    std::size_t intervals = Collector::kUnknown;
    guarded([&] {
      if (run.failed.load()) return;
      const ThreadResult found = thread->work();
      intervals = found.intervals;
      const std::lock_guard lock(mutex);
      add(result, found);
      answered += found.answered;
      ended_s = std::max(ended_s, found.ended_s);
    });
    collector.finish(intervals);
  };

  std::vector<std::thread> threads;
  threads.reserve(options.threads);
  try {
    for (std::size_t i = 0; i < options.threads; ++i) {
      threads.push_back(start_thread("a thread of the generator", work, i));
    }
  } catch (const std::runtime_error&) {
    // Those that have begun must not wait for the others.
    run.failed.store(true);
    for (std::size_t i = threads.size(); i < options.threads; ++i) {
      collector.finish(Collector::kUnknown);
      connected.arrive_and_drop();
    }
    const std::lock_guard lock(mutex);
    if (failure == nullptr) failure = std::current_exception();
  }
  const double total_s = std::chrono::duration<double>(options.duration).count();
  collector.wait([&](const IntervalRow& row) {
    if (!control.on_interval) return;
    control.on_interval(
        {.interval = row, .left_s = std::max(0.0, total_s - row.begin_s - row.length_s)});
  });
  for (std::thread& thread : threads) thread.join();
  if (failure != nullptr) std::rethrow_exception(failure);
  // Nothing at all is no result.
  if (!result.broke_off.empty() && answered == 0) throw std::runtime_error(result.broke_off);

  result.latency = collector.latency();
  result.lag = collector.lag();
  if (!options.rate) result.service = result.latency;
  collector.end_series(ended_s);
  result.series = collector.series();
  result.interrupted = control.stop_requests.load() > 0;
  Faults faults = find_faults(result);
  result.invalid = std::move(faults.reasons);
  result.generator_limited = faults.generator_limited;
  return result;
}

}  // namespace evpool::bench
