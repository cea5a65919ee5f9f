// What a task costs to hand over: one producer, empty tasks, pools of several sizes.
#include <benchmark/benchmark.h>
#include <sched.h>

#include <atomic>
#include <cstdint>

#include "threadpool/thread_pool.h"

namespace {

void add_empty_tasks(benchmark::State& state) {
  const auto pool = evpool::ThreadPool::create(
      {.workers = static_cast<std::size_t>(state.range(0)), .capacity_tasks = 4096});
  std::atomic<std::int64_t> run{0};
  std::int64_t added = 0;
  for (auto _ : state) {
    // A full queue is waited for, so that the time is that of the slower of both sides.
    while (pool->try_add([&run] { run.fetch_add(1, std::memory_order_relaxed); }) !=
           evpool::AddResult::added) {
      sched_yield();
    }
    ++added;
  }
  pool->drain();
  if (run.load() != added) state.SkipWithError("tasks were lost");
  state.SetItemsProcessed(added);
}
BENCHMARK(add_empty_tasks)->Arg(1)->Arg(2)->Arg(4)->UseRealTime();

void create_and_destroy(benchmark::State& state) {
  for (auto _ : state) {
    const auto pool =
        evpool::ThreadPool::create({.workers = static_cast<std::size_t>(state.range(0))});
    benchmark::DoNotOptimize(pool.get());
  }
}
BENCHMARK(create_and_destroy)->Arg(1)->Arg(4)->UseRealTime();

}  // namespace
