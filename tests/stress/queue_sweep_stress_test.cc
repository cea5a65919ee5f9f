// Full queues of which a part is cancelled all the time, so that adders sweep them while workers
// take: no task is lost, run twice, or overtaken by a younger one of the same adder.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "threadpool/future.h"
#include "threadpool/task_group.h"
#include "threadpool/thread_pool.h"

namespace evpool {
namespace {

unsigned rounds(unsigned base) {
  const char* const factor = std::getenv("EVPOOL_STRESS_ROUNDS");  // NOLINT(concurrency-mt-unsafe)
  return factor == nullptr ? base : base * unsigned(std::atoi(factor));  // NOLINT(cert-err34-c)
}

constexpr std::size_t kAdders = 3;
constexpr int kTasksOfEach = 2000;

struct Totals {
  std::atomic<std::uint64_t> run{0};
  std::atomic<std::uint64_t> cancelled{0};
  std::atomic<std::uint64_t> overtaken{0};
};

// Adds numbered tasks, some by futures that it cancels a little later, and now and then has a group
// do something.
void add_and_cancel(ThreadPool& pool, Totals& totals, bool one_worker, unsigned seed) {
  std::minstd_rand random(seed);
  int last_run = -1;  // of the one worker
  std::vector<Future<void>> futures;
  const auto cancel_all = [&] {
    for (auto& future : futures) {
      if (future.cancel() == CancelResult::cancelled) {
        totals.cancelled.fetch_add(1);
      } else {
        future.wait();
      }
    }
    futures.clear();
  };
  std::atomic<int> ended{0};
  int added = 0;
  int submitted = 0;
  while (added + submitted < kTasksOfEach) {
    const int number = added + submitted;
    const auto run = [&totals, &last_run, one_worker, number] {
      if (one_worker && std::exchange(last_run, number) >= number) totals.overtaken.fetch_add(1);
      totals.run.fetch_add(1);
    };
    switch (random() % 4) {
      case 0: {
        auto [result, future] = submit(pool, run);
        if (result != AddResult::added) break;
        ++submitted;
        futures.push_back(std::move(future));
        break;
      }
      case 1: {
        TaskGroup group(pool);
        group.add([] {});
        break;
      }
      default:
        if (pool.try_add([run, &ended] {
              run();
              ended.fetch_add(1);
            }) == AddResult::added) {
          ++added;
        }
        break;
    }
    if (added + submitted == number) std::this_thread::yield();
    if (random() % 16 == 0) cancel_all();
  }
  cancel_all();
  while (ended.load() < added) std::this_thread::yield();
}

TEST(QueueSweepStress, every_task_ends_once_and_in_its_order) {
  std::minstd_rand random(20261128);
  std::uint64_t swept = 0;
  for (unsigned round = 0; round < rounds(24); ++round) {
    const std::size_t workers = round % 3 + 1;
    const std::size_t capacity = std::size_t{1} << (round % 8);
    const auto pool = ThreadPool::create(
        {.workers = workers, .capacity_tasks = capacity, .own_tasks_first = round % 2 == 0});
    Totals totals;
    std::vector<std::thread> adders;
    for (std::size_t i = 0; i < kAdders; ++i) {
      adders.emplace_back([&pool, &totals, workers, seed = unsigned(random())] {
        add_and_cancel(*pool, totals, workers == 1, seed);
      });
    }
    for (std::thread& adder : adders) adder.join();
    const ThreadPoolStatistics statistics = pool->drain();
    ASSERT_EQ(totals.run.load() + totals.cancelled.load(), kAdders * kTasksOfEach);
    ASSERT_EQ(totals.overtaken.load(), 0U);
    ASSERT_GE(statistics.executed, totals.run.load());
    ASSERT_GE(statistics.cancelled, totals.cancelled.load());
    ASSERT_EQ(statistics.queued, 0U);
    swept += statistics.cancelled - totals.cancelled.load();
  }
  EXPECT_GT(swept, 0U) << "no ticket was ever swept: the test has no subject";
}

}  // namespace
}  // namespace evpool
