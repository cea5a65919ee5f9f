#include "bench/row_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "bench/report_text.h"
#include "bench/system_call_counter.h"

namespace evpool::bench {
namespace {

// Over TCP nothing is lost, but a queue of large payloads may take its time.
constexpr std::chrono::milliseconds kTcpTimeout{30'000};

// run_load, but a server that ended meanwhile is said to have ended.
LoadResult run_against(ChildProgram& server, const LoadOptions& load, const Dialect& dialect,
                       RunControl& control) {
  try {
    return run_load(load, dialect, control);
  } catch (const std::exception&) {
    static_cast<void>(server.running());
    static_cast<void>(server.cpu_seconds());  // throws when it has ended
    throw;
  }
}

double jobs_of(const LoadResult& result) {
  return std::max(1.0, static_cast<double>(result.account.ok));
}

}  // namespace

LoadOptions row_load(const Row& row, const ChildProgram& server) {
  const std::string_view transport = transport_name(row.transport);
  const std::optional<Address> address = server.listening(transport);
  if (!address) {
    throw std::runtime_error(fmt::format("the server does not listen on {}", transport));
  }
  LoadOptions load;
  load.server = *address;
  load.transport = row.transport;
  load.connections = row.connections;
  load.in_flight = row.in_flight;
  load.mix.front().size.least = row.payload_bytes;
  load.mix.front().size.most = row.payload_bytes;
  // Datagrams without ids may be taken for each other's replies. Checking costs time, so it is the
  // same for all servers of a row.
  load.verify = row.transport == Transport::tcp;
  if (row.transport == Transport::tcp) load.timeout = kTcpTimeout;
  load.offload = row.offload;
  load.seed = kRowSeed;
  load.warm_up = std::chrono::milliseconds{0};
  return load;
}

RowRun run_row(const Row& row, ChildProgram& server, const Dialect& dialect,
               std::chrono::milliseconds duration, RunControl& control) {
  RowRun run;
  const std::uint64_t resident_before = server.resident_bytes();
  LoadOptions load = row_load(row, server);
  load.duration = kRowWarmUp;
  {
    const SystemCallCounter counter(server.pid());
    const LoadResult warm_up = run_against(server, load, dialect, control);
    if (const auto calls = counter.count()) {
      run.figures.system_calls_per_job = static_cast<double>(*calls) / jobs_of(warm_up);
    }
  }
  load.duration = duration;
  const double cpu_before_s = server.cpu_seconds();
  const std::uint64_t switches_before = server.context_switches();
  const LoadResult result = run_against(server, load, dialect, control);
  static_cast<void>(server.running());  // notices that it has ended, and so the next lines throw
  const double jobs = jobs_of(result);
  run.figures.jobs_per_second = result.jobs_per_second();
  run.figures.p50_us = static_cast<double>(result.latency.percentile_ns(50)) / 1e3;
  run.figures.cpu_us_per_job = (server.cpu_seconds() - cpu_before_s) * 1e6 / jobs;
  run.figures.switches_per_job =
      static_cast<double>(server.context_switches() - switches_before) / jobs;
  run.figures.client_cpu_us_per_job = result.cpu_seconds * 1e6 / jobs;
  const std::uint64_t peak = server.peak_resident_bytes();
  run.figures.memory_bytes = static_cast<double>(peak - std::min(peak, resident_before));

  run.wrong = result.account.wrong;
  run.faults = result.invalid;
  if (result.account.lost > 0) {
    run.faults.push_back(
        fmt::format("{} of {} replies were lost", result.account.lost, result.account.sent));
  }
  if (result.account.all_refused() > 0) {
    run.faults.push_back(fmt::format("{} of {} requests were refused", result.account.all_refused(),
                                     result.account.sent));
  }
  return run;
}

}  // namespace evpool::bench
