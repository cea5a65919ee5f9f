// The pool under everything at once, built with injected yields (threadpool/yield_point.h): each
// task must be run, discarded, cancelled or refused, and that once. EVPOOL_STRESS_ROUNDS multiplies
// the rounds of each test; the default is what CI has time for.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "threadpool/future.h"
#include "threadpool/task_group.h"
#include "threadpool/thread_pool.h"

namespace evpool {
namespace {

using Clock = ThreadPool::Clock;

int rounds(int base) {
  const char* const factor = std::getenv("EVPOOL_STRESS_ROUNDS");  // NOLINT(concurrency-mt-unsafe)
  return factor == nullptr ? base : base * std::atoi(factor);      // NOLINT(cert-err34-c)
}

// What became of each task.
class Ledger {
 public:
  std::atomic<std::uint64_t> added{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> executed{0};
  std::atomic<std::uint64_t> discarded{0};
  std::atomic<std::uint64_t> cancelled{0};
  std::atomic<std::uint64_t> twice{0};
};

// Knows whether it has ended already.
class OnceTask {
 public:
  OnceTask(Ledger& ledger, ThreadPool* adds_to)
      : ledger_(&ledger), adds_to_(adds_to), ended_(std::make_unique<std::atomic<int>>(0)) {}
  void operator()() {
    end(ledger_->executed);
    // One more from inside, whose own task adds none.
    if (adds_to_ != nullptr) {
      const AddResult result = adds_to_->try_add(OnceTask(*ledger_, nullptr));
      (result == AddResult::added ? ledger_->added : ledger_->refused).fetch_add(1);
    }
  }
  void discard() noexcept {
    std::this_thread::yield();  // so that another that ends the pool gets ahead
    end(ledger_->discarded);
  }

 private:
  void end(std::atomic<std::uint64_t>& count) {
    if (ended_->fetch_add(1) != 0) ledger_->twice.fetch_add(1);
    count.fetch_add(1);
  }
  Ledger* ledger_;
  ThreadPool* adds_to_;
  std::unique_ptr<std::atomic<int>> ended_;
};

class Producer {
 public:
  Producer(ThreadPool& pool, Ledger& ledger, unsigned seed)
      : pool_(pool), ledger_(ledger), random_(seed) {}

  // Until the pool takes nothing more.
  void run() {
    while (!ended_) {
      const auto priority = static_cast<TaskPriority>(random_() % kTaskPriorities);
      switch (random_() % 5) {
        case 0:
          add_one(priority);
          break;
        case 1:
          add_bulk(priority);
          break;
        case 2:
          add_until(priority);
          break;
        case 3:
          submit_and_cancel(priority);
          break;
        default:
          add_one(TaskPriority::normal);
          break;
      }
    }
  }

 private:
  void note(AddResult result, std::uint64_t tasks = 1) {
    (result == AddResult::added ? ledger_.added : ledger_.refused).fetch_add(tasks);
    if (result == AddResult::stopped || result == AddResult::draining) ended_ = true;
  }
  void add_one(TaskPriority priority) {
    note(pool_.try_add(OnceTask(ledger_, random_() % 4 == 0 ? &pool_ : nullptr), priority));
  }
  void add_bulk(TaskPriority priority) {
    std::vector<Task> tasks(random_() % 40);
    for (Task& task : tasks) task = OnceTask(ledger_, nullptr);
    const BulkAddResult result = pool_.try_add_bulk(tasks, priority);
    ledger_.added.fetch_add(result.tasks);
    if (result.tasks < tasks.size()) note(result.result, tasks.size() - result.tasks);
  }
  void add_until(TaskPriority priority) {
    const auto deadline = Clock::now() + std::chrono::microseconds(random_() % 200);
    note(pool_.add_until(deadline, OnceTask(ledger_, nullptr), priority));
  }
  void submit_and_cancel(TaskPriority priority) {
    auto submitted = submit(
        pool_, [task = OnceTask(ledger_, nullptr)]() mutable { task(); }, priority);
    note(submitted.added);
    if (submitted.added != AddResult::added) return;
    if (random_() % 2 == 0) submitted.future.cancel();
    try {
      submitted.future.get();
    } catch (const TaskCancelled&) {
      ledger_.cancelled.fetch_add(1);
    } catch (const TaskDiscarded&) {
      ledger_.discarded.fetch_add(1);
    }
  }

  ThreadPool& pool_;
  Ledger& ledger_;
  std::minstd_rand random_;
  bool ended_ = false;
};

TEST(ThreadPoolStress, every_task_ends_once_whatever_happens) {
  std::minstd_rand random(20260923);
  for (int round = 0; round < rounds(60); ++round) {
    const std::size_t workers = random() % 5 + 1;
    const std::size_t capacity = std::array{1U, 3U, 16U, 200U}[random() % 4];
    auto pool = ThreadPool::create({.workers = workers, .capacity_tasks = capacity});
    Ledger ledger;
    std::vector<std::thread> producers;
    for (unsigned i = 0; i < 3; ++i) {
      producers.emplace_back(
          [&pool, &ledger, seed = random()] { Producer(*pool, ledger, unsigned(seed)).run(); });
    }
    while (ledger.added.load() < 2000) std::this_thread::yield();
    ThreadPoolStatistics statistics;
    std::optional<ThreadPoolStatistics> others;  // of one that ends the pool at the same time
    switch (random() % 4) {
      case 0:
        statistics = pool->drain();
        break;
      case 1:
        statistics = pool->stop();
        break;
      case 2: {
        std::thread other([&pool, &others, drains = random() % 2 == 0] {
          others = drains ? pool->drain() : pool->stop();
        });
        statistics = pool->stop();
        other.join();
        break;
      }
      default:
        static_cast<void>(pool->drain_until(Clock::now() + std::chrono::microseconds(50)));
        statistics = pool->stop();
        break;
    }
    for (std::thread& producer : producers) producer.join();
    const std::uint64_t ended =
        ledger.executed.load() + ledger.discarded.load() + ledger.cancelled.load();
    ASSERT_EQ(ended, ledger.added.load()) << "round " << round;
    ASSERT_EQ(ledger.twice.load(), 0U);
    ASSERT_EQ(statistics.executed, ledger.executed.load());
    // One that was cancelled while it waited is discarded in silence when the pool is stopped.
    ASSERT_EQ(statistics.discarded + statistics.cancelled,
              ledger.discarded.load() + ledger.cancelled.load());
    ASSERT_EQ(pool->statistics().refused, ledger.refused.load());
    if (!others) continue;
    ASSERT_EQ(others->executed, statistics.executed) << "not final";
    ASSERT_EQ(others->discarded, statistics.discarded) << "not final";
    ASSERT_EQ(others->cancelled, statistics.cancelled) << "not final";
  }
}

// Busy tasks that end when what they have added has run, while producers keep the rings filled.
TEST(ThreadPoolStress, nothing_is_stuck_behind_a_busy_worker_under_a_saturating_load) {
  for (const std::size_t workers : {2U, 3U, 5U}) {
    const auto pool = ThreadPool::create({.workers = workers, .capacity_tasks = 512});
    std::vector<std::thread> producers;
    for (unsigned i = 0; i < 2; ++i) {
      producers.emplace_back([&pool, i] {
        std::vector<Task> tasks(i == 0 ? 1 : 100);
        AddResult result = AddResult::added;
        while (result == AddResult::added || result == AddResult::full) {
          for (Task& task : tasks) {
            if (!task) task = [] {};
          }
          result = pool->try_add_bulk(tasks).result;
          if (result == AddResult::full) std::this_thread::yield();
        }
      });
    }
    std::atomic<int> stuck{0};
    for (int round = 0; round < rounds(200); ++round) {
      std::atomic<std::size_t> busy_ended{0};
      for (std::size_t i = 1; i < workers; ++i) {
        const auto busy = [&pool, &stuck, &busy_ended] {
          const auto left = std::make_shared<std::atomic<int>>(0);
          for (int child = 0; child < 5; ++child) {
            left->fetch_add(1);
            if (pool->try_add([left] { left->fetch_sub(1); }) != AddResult::added) {
              left->fetch_sub(1);
            }
          }
          const auto give_up = Clock::now() + std::chrono::seconds(20);
          while (left->load() > 0 && Clock::now() < give_up) std::this_thread::yield();
          if (left->load() > 0) stuck.fetch_add(1);
          busy_ended.fetch_add(1);
        };
        ASSERT_EQ(pool->add_until(Clock::time_point::max(), busy), AddResult::added);
      }
      while (busy_ended.load() + 1 < workers) std::this_thread::yield();
      ASSERT_EQ(stuck.load(), 0) << "round " << round << " with " << workers << " workers";
    }
    pool->drain();
    for (std::thread& producer : producers) producer.join();
  }
}

std::uint64_t asleep(const ThreadPool& pool) {
  const ThreadPoolStatistics statistics = pool.statistics();
  return statistics.parks - statistics.wakes;
}

// Workers park after every task, and every task must wake one. A watchdog counts the rounds that
// took longer than any wake-up can, and mends them by another task: it must count none.
TEST(ThreadPoolStress, no_wake_up_is_lost) {
  for (const std::size_t workers : {1U, 2U, 3U}) {
    const auto pool = ThreadPool::create({.workers = workers, .capacity_tasks = 4});
    std::atomic<std::uint64_t> run{0};
    std::uint64_t expected = 0;
    int lost = 0;
    std::minstd_rand random(7);
    for (int round = 0; round < rounds(60'000); ++round) {
      // Some rounds find every worker asleep, most catch it at any moment of falling asleep.
      if (round % 4 == 0) {
        while (asleep(*pool) < workers) std::this_thread::yield();
      } else {
        for (std::uint64_t spin = random() % 3000; spin > 0; --spin)
          std::atomic_signal_fence(std::memory_order_seq_cst);
      }
      const int burst = round % 3 + 1;
      for (int i = 0; i < burst; ++i) {
        ASSERT_EQ(pool->try_add([&run] { run.fetch_add(1); }), AddResult::added);
      }
      expected += static_cast<std::uint64_t>(burst);
      auto give_up = Clock::now() + std::chrono::seconds(20);
      while (run.load() < expected) {
        std::this_thread::yield();
        if (Clock::now() < give_up) continue;
        ++lost;
        ASSERT_EQ(pool->try_add([&run] { run.fetch_add(1); }), AddResult::added);
        ++expected;
        give_up = Clock::now() + std::chrono::seconds(20);
      }
    }
    EXPECT_EQ(lost, 0);
    const ThreadPoolStatistics statistics = pool->drain();
    EXPECT_EQ(statistics.executed, expected);
    RecordProperty("parks with " + std::to_string(workers), std::to_string(statistics.parks));
    std::printf("%zu workers: %llu parks, %llu wakes, %llu spurious, %d lost\n", workers,
                static_cast<unsigned long long>(statistics.parks),
                static_cast<unsigned long long>(statistics.wakes),
                static_cast<unsigned long long>(statistics.spurious_wakes), lost);
  }
}

long sum(ThreadPool& pool, long first, long last) {
  if (last - first <= 4) {
    long total = 0;
    for (long i = first; i < last; ++i) total += i;
    return total;
  }
  const long middle = first + (last - first) / 2;
  long left = 0;
  long right = 0;
  TaskGroup group(pool);
  group.add([&] { left = sum(pool, first, middle); });
  group.add([&] { right = sum(pool, middle, last); });
  group.wait();
  return left + right;
}

TEST(ThreadPoolStress, nested_groups_of_several_threads_come_to_their_sums) {
  for (int round = 0; round < rounds(20); ++round) {
    const auto pool = ThreadPool::create({.workers = 3, .capacity_tasks = 8});
    std::vector<std::thread> callers;
    for (int i = 0; i < 2; ++i) {
      callers.emplace_back([&pool] { EXPECT_EQ(sum(*pool, 0, 2000), 1'999'000); });
    }
    // And the pool may go into its drain meanwhile.
    if (round % 2 == 0) pool->drain();
    for (std::thread& caller : callers) caller.join();
  }
}

}  // namespace
}  // namespace evpool
