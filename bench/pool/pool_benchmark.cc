// The pool beside its peers (pool_peers.h), on the same work: `./dev bench pool`. Each row's name
// is "row/its parameters/peer"; the tables at the end (comparison_table.h) put the peers side by
// side.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <tbb/version.h>

#include <boost/version.hpp>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "bench/load/effective_flags.h"
#include "bench/pool/comparison_table.h"
#include "bench/pool/pool_measure.h"
#include "threadpool/usable_cpus.h"

#ifndef EVPOOL_BENCH_FLAGS
#define EVPOOL_BENCH_FLAGS "unknown: not built by CMake"
#endif

namespace evpool::bench {
namespace {

std::string compiler() {
#ifdef __clang__
  return __VERSION__;
#else
  return "gcc " __VERSION__;
#endif
}

std::string cpu_model() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "of an unknown model";
}

void print_circumstances(const std::string& arguments, std::size_t repetitions) {
  utsname kernel{};
  uname(&kernel);
  fmt::print("compiler: {}\n", compiler());
  fmt::print("flags: {}\n", effective_flags(EVPOOL_BENCH_FLAGS));
  fmt::print("CPUs: {}, {}\n", usable_cpus(), cpu_model());
  fmt::print("kernel: {} {} {}\n", kernel.sysname, kernel.release, kernel.machine);
  fmt::print("argv: {}\n", arguments);
  fmt::print("repetitions: {}, of which the median is shown\n", repetitions);
  fmt::print("peers: TBB {}.{}, Asio of Boost {}.{}\n", TBB_VERSION_MAJOR, TBB_VERSION_MINOR,
             BOOST_VERSION / 100'000, BOOST_VERSION / 100 % 1'000);
}

}  // namespace
}  // namespace evpool::bench

int main(int argc, char** argv) {
  using namespace evpool::bench;
  const std::string first = argc > 1 ? argv[1] : "";
  if (first.starts_with(kMemoryArgument)) {
    return print_waiting_memory(first.substr(std::strlen(kMemoryArgument)));
  }
  std::string arguments = argv[0];
  for (int i = 1; i < argc; ++i) arguments += std::string(" ") + argv[i];
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  // Else each short sleep of the measuring thread would be 50 us longer.
  prctl(PR_SET_TIMERSLACK, 1UL);
  add_flood_rows();
  add_chain_rows();
  add_idle_rows();
  add_ping_pong_rows();
  add_fork_join_rows();
  add_lifetime_rows();
  add_overload_rows();
  ComparisonTable table;
  benchmark::RunSpecifiedBenchmarks(&table);
  if (table.repetitions() == 0) return 0;
  std::fputc('\n', stderr);
  print_circumstances(arguments, table.repetitions());
  table.print();
}
