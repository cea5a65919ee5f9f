// Row 1: producers add as fast as they can, tasks of 0, 1 and 10 us.
#include <algorithm>
#include <barrier>
#include <chrono>
#include <thread>
#include <vector>

#include "bench/pool/pool_measure.h"

namespace evpool::bench {
namespace {

// Work of a known length on an idle processor, counted in turns and not by the clock, so that a
// task that is interrupted is not thereby shorter. Never inlined, so that what is measured is what
// runs.
[[gnu::noinline]] void turn(std::uint64_t turns) {
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

// 16 bytes: so much std::function keeps without the heap.
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
  // More than evpool's capacity, so that its producers wait, as the others' do not.
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
  report_ns(state, static_cast<double>(added));
}

}  // namespace

void add_flood_rows() {
  for (const std::uint64_t task_us : {0U, 1U, 10U}) {
    for (const bool bulk : {false, true}) {
      for (const std::size_t producers : {1U, 2U, 4U}) {
        for (const std::size_t workers : {1U, 2U, 4U, 8U}) {
          const Flood row{producers, workers, bulk, task_us};
          add_row(AllPeers{},
                  "flood, " + std::to_string(task_us) + " us tasks, " +
                      (bulk ? std::to_string(kBulkTasks) + " at once" : "one by one"),
                  count_of(producers, "producer") + ", " + count_of(workers, "worker"),
                  [row](benchmark::State& state, auto peer) {
                    flood<typename decltype(peer)::type>(state, row);
                  });
        }
      }
    }
  }
}

}  // namespace evpool::bench
