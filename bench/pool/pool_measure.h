// What the rows of the pool's benchmark share: how they are registered, and what they measure with.
#pragma once

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "bench/pool/pool_peers.h"
#include "threadpool/futex.h"

namespace evpool::bench {

template <typename... Peers>
struct PeerList {};
using AllPeers = PeerList<EvpoolPeer, TbbPeer, AsioPeer, MoodycamelPeer, TextbookPeer>;

// Registers `body(state, std::type_identity<Peer>)` as "row/parameters/peer" for each of the peers.
// The tables have the rows in the order of these calls. Iterations 0: as many as the library's
// minimum time takes.
template <typename... Peers, typename Body>
void add_row(PeerList<Peers...> /*peers*/, [[maybe_unused]] const std::string& row,
             [[maybe_unused]] const std::string& parameters, [[maybe_unused]] const Body& body,
             [[maybe_unused]] benchmark::IterationCount iterations = 0) {
#ifndef __clang_analyzer__  // which takes what the library keeps for a leak
  const auto add = [&]<typename Peer>(std::type_identity<Peer> peer) {
    auto* const added =
        benchmark::RegisterBenchmark((row + "/" + parameters + "/" + Peer::kName).c_str(),
                                     [body, peer](benchmark::State& state) { body(state, peer); });
    added->UseRealTime();
    if (iterations > 0) added->Iterations(iterations);
  };
  (add(std::type_identity<Peers>{}), ...);
#endif
}

// The rows, a function for each file.
void add_flood_rows();
void add_chain_rows();
void add_ping_pong_rows();
void add_idle_rows();
void add_fork_join_rows();
void add_lifetime_rows();
void add_overload_rows();

// For the overload rows, which start this program anew: the argument that says so, and what to do.
inline constexpr const char* kMemoryArgument = "--waiting-memory-of=";
int print_waiting_memory(const std::string& peer);

inline std::string count_of(std::size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// Nanoseconds of real time for each of `tasks`.
void report_ns(benchmark::State& state, double tasks);

// What does not drift with the machine's speed, for each task: processor time of the whole process
// and context switches, from construction to report().
class Costs {
 public:
  Costs();
  void report(benchmark::State& state, double tasks) const;

 private:
  double cpu_ns_ = 0;
  rusage usage_{};
};
double process_cpu_ns();

// Counts tasks that have run, without the workers disturbing each other: each thread has a line.
//
// Whoever waits looks every 20 us and sleeps between: one that spins would take a processor from
// the workers, have the lines taken from them with each look, and be counted as the pool's cost.
// The price is that a wait ends some 10 us late, of the milliseconds that a round takes.
class RunCounter {
 public:
  void count_one() {
    std::atomic<std::uint64_t>& own = counts_[slot()].count;
    // Release, for wait_for() to have seen all that the tasks did.
    own.store(own.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  void wait_for(std::uint64_t total_expected) const;

 private:
  // More than threads live at once in any row, those included that TBB keeps between rows.
  static constexpr std::size_t kSlots = 64;
  struct alignas(64) Line {
    std::atomic<std::uint64_t> count{0};
  };
  // This thread's for as long as it lives; no two living threads have the same.
  static std::size_t slot();

  std::array<Line, kSlots> counts_;
};

// Counts ends that are rare beside what is measured; who waits sleeps until there are enough.
class EndCounter {
 public:
  void count_one() {
    ended_.fetch_add(1);
    futex_wake_all(ended_);
  }
  void wait_for(std::uint32_t total_expected) {
    for (std::uint32_t ended = ended_.load(); ended < total_expected; ended = ended_.load()) {
      futex_wait(ended_, ended);
    }
  }

 private:
  FutexWord ended_{0};
};

}  // namespace evpool::bench
