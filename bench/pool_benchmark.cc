// The pool beside its peers, on the same work: `./dev bench pool`. Each row's name is
// "row/its parameters/peer"; the table at the end (comparison_table.h) puts the peers side by side.
#include <benchmark/benchmark.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/comparison_table.h"
#include "bench/pool_peers.h"

namespace evpool::bench {
namespace {

// Counts tasks that have run without the workers disturbing each other: each thread has a line.
class RunCounter {
 public:
  void count_one() {
    std::atomic<std::uint64_t>& own = counts_[slot()].count;
    own.store(own.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  [[nodiscard]] std::uint64_t total() const {
    std::uint64_t total = 0;
    for (const Line& line : counts_) total += line.count.load(std::memory_order_acquire);
    return total;
  }
  void wait_for(std::uint64_t total_expected) const {
    while (total() < total_expected) sched_yield();
  }

 private:
  // Threads come and go with each pool; two that live at the same time have different slots.
  static constexpr std::size_t kSlots = 1024;
  struct alignas(64) Line {
    std::atomic<std::uint64_t> count{0};
  };
  static std::size_t slot() {
    static std::atomic<std::size_t> next{0};
    thread_local const std::size_t own = next.fetch_add(1) % kSlots;
    return own;
  }
  std::vector<Line> counts_ = std::vector<Line>(kSlots);
};

// Work of a known length on an idle processor, counted in turns and not by the clock, so that a task
// that is interrupted is not thereby shorter.
void turn(std::uint64_t turns) {
  for (std::uint64_t i = 0; i < turns; ++i) benchmark::DoNotOptimize(i);
}
std::uint64_t turns_per_us() {
  static const std::uint64_t measured = [] {
    constexpr std::uint64_t kTurns = 2'000'000;
    double best_us = 1e9;
    for (int i = 0; i < 20; ++i) {
      const auto began = std::chrono::steady_clock::now();
      turn(kTurns);
      const std::chrono::duration<double, std::micro> took =
          std::chrono::steady_clock::now() - began;
      best_us = std::min(best_us, took.count());
    }
    return static_cast<std::uint64_t>(static_cast<double>(kTurns) / best_us);
  }();
  return measured;
}

// What does not drift with the machine's speed, for each task.
class Costs {
 public:
  Costs() { getrusage(RUSAGE_SELF, &before_); }
  void report(benchmark::State& state, double tasks) const {
    rusage after{};
    getrusage(RUSAGE_SELF, &after);
    const auto us = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
    };
    const double cpu_us = us(after.ru_utime) + us(after.ru_stime) - us(before_.ru_utime) -
                          us(before_.ru_stime);
    const auto switches = static_cast<double>(after.ru_nvcsw + after.ru_nivcsw -
                                              before_.ru_nvcsw - before_.ru_nivcsw);
    state.counters["cpu_ns"] = cpu_us * 1e3 / tasks;
    state.counters["switches"] = switches / tasks;
  }

 private:
  rusage before_{};
};

// --- 1. Flood --------------------------------------------------------------------------------------

struct FloodTask {
  RunCounter* run;
  std::uint64_t turns;
  void operator()() const {
    turn(turns);
    run->count_one();
  }
};

struct Flood {
  std::size_t producers;
  std::size_t workers;
  bool bulk;
  std::uint64_t task_us;
};

template <typename Peer>
void flood(benchmark::State& state, const Flood& row) {
  const std::size_t tasks_each = (row.task_us == 0 ? 65'536 : 8'192) / row.producers;
  RunCounter run;
  const FloodTask task{&run, row.task_us * turns_per_us()};
  Peer peer(row.workers);
  const auto produce = [&] {
    if (row.bulk) {
      for (std::size_t i = 0; i < tasks_each; i += kBulkTasks) peer.add_bulk(task);
    } else {
      for (std::size_t i = 0; i < tasks_each; ++i) peer.add(task);
    }
  };
  std::atomic<bool> ended{false};
  std::barrier start(static_cast<std::ptrdiff_t>(row.producers));
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < row.producers; ++i) {
    others.emplace_back([&] {
      for (start.arrive_and_wait(); !ended.load(); start.arrive_and_wait()) produce();
    });
  }
  std::uint64_t added = 0;
  const Costs costs;
  for (auto _ : state) {
    start.arrive_and_wait();
    produce();
    added += tasks_each * row.producers;
    run.wait_for(added);
  }
  costs.report(state, static_cast<double>(added));
  ended.store(true);
  start.arrive_and_wait();
  for (std::thread& other : others) other.join();
  state.counters["ns"] = benchmark::Counter(static_cast<double>(added) / 1e9,
                                            benchmark::Counter::kIsRate |
                                                benchmark::Counter::kInvert);
}

// --- 2. Chains that add themselves again; 4. two tasks that add each other --------------------------

template <typename Peer>
struct ChainTask {
  Peer* peer;
  RunCounter* ended;
  std::uint64_t hops_left;
  void operator()() const {
    if (hops_left == 0) {
      ended->count_one();
    } else {
      peer->add(ChainTask{peer, ended, hops_left - 1});
    }
  }
};

template <typename Peer>
void chains(benchmark::State& state, std::size_t chain_count, std::size_t workers) {
  constexpr std::uint64_t kHops = 20'000;
  RunCounter ended;
  Peer peer(workers);
  std::uint64_t started = 0;
  const Costs costs;
  for (auto _ : state) {
    for (std::size_t i = 0; i < chain_count; ++i) {
      peer.add(ChainTask<Peer>{&peer, &ended, kHops});
    }
    started += chain_count;
    ended.wait_for(started);
  }
  const double hops = static_cast<double>(started * (kHops + 1));
  costs.report(state, hops);
  state.counters["ns"] = benchmark::Counter(
      hops / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

template <typename Peer>
void add_rows() {
  const auto name = [](const std::string& row) { return row + "/" + Peer::kName; };
  for (const std::uint64_t task_us : {0, 1, 10}) {
    for (const bool bulk : {false, true}) {
      for (const std::size_t producers : {1, 2, 4}) {
        for (const std::size_t workers : {1, 2, 4, 8}) {
          const Flood row{producers, workers, bulk, task_us};
          benchmark::RegisterBenchmark(
              name("flood, " + std::to_string(task_us) + " us tasks, " +
                   (bulk ? "32 at once" : "one by one") + "/" + std::to_string(producers) +
                   " -> " + std::to_string(workers))
                  .c_str(),
              [row](benchmark::State& state) { flood<Peer>(state, row); })
              ->UseRealTime();
        }
      }
    }
  }
  for (const std::size_t workers : {1, 2, 4, 8}) {
    benchmark::RegisterBenchmark(
        name("4 chains that add themselves/" + std::to_string(workers)).c_str(),
        [workers](benchmark::State& state) { chains<Peer>(state, 4, workers); })
        ->UseRealTime();
  }
  for (const std::size_t workers : {1, 2, 4, 8}) {
    benchmark::RegisterBenchmark(
        name("ping-pong/" + std::to_string(workers)).c_str(),
        [workers](benchmark::State& state) { chains<Peer>(state, 1, workers); })
        ->UseRealTime();
  }
}

}  // namespace
}  // namespace evpool::bench

int main(int argc, char** argv) {
  using namespace evpool::bench;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  add_rows<EvpoolPeer>();
  add_rows<TbbPeer>();
  add_rows<AsioPeer>();
  add_rows<MoodycamelPeer>();
  add_rows<TextbookPeer>();
  ComparisonTable table;
  benchmark::RunSpecifiedBenchmarks(&table);
  table.print();
}
