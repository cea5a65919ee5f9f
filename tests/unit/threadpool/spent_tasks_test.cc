// Tasks that are of no use any more keep nobody out of a full pool: cancelled futures' tasks, and
// the tickets of groups whose tasks have been run.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <latch>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tests/becomes_true.h"
#include "tests/unit/threadpool/blocker.h"
#include "threadpool/future.h"
#include "threadpool/task_group.h"
#include "threadpool/thread_pool.h"

namespace evpool {
namespace {

constexpr std::array kPriorities = {TaskPriority::high, TaskPriority::normal, TaskPriority::low};

ThreadPool::Clock::time_point in_a_minute() {
  return ThreadPool::Clock::now() + std::chrono::minutes(1);
}

void fill_with_cancelled(ThreadPool& pool, std::size_t tasks, TaskPriority priority) {
  std::vector<Future<void>> futures;
  for (std::size_t i = 0; i < tasks; ++i) {
    auto [added, future] = submit(
        pool, [] { ADD_FAILURE() << "a cancelled task ran"; }, priority);
    EXPECT_EQ(added, AddResult::added);
    if (added != AddResult::added) break;
    futures.push_back(std::move(future));
  }
  // Otherwise a first one, cancelled early, would make room for a later one.
  for (auto& future : futures) EXPECT_EQ(future.cancel(), CancelResult::cancelled);
}

void fill_with_tickets(ThreadPool& pool, std::size_t tickets, TaskPriority priority) {
  std::vector<std::unique_ptr<TaskGroup>> groups;
  for (std::size_t i = 0; i < tickets; ++i) {
    groups.push_back(std::make_unique<TaskGroup>(pool, priority));
    groups.back()->add([] {});
  }
}

// How many tasks the pool takes.
std::size_t fill(ThreadPool& pool, TaskPriority priority, std::atomic<std::size_t>& run) {
  std::size_t added = 0;
  while (pool.try_add([&run] { run.fetch_add(1); }, priority) == AddResult::added) ++added;
  return added;
}

TEST(SpentTasks, groups_that_have_ended_leave_the_whole_queue_to_others) {
  constexpr std::size_t kCapacity = 40;
  for (const TaskPriority priority : kPriorities) {
    const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = kCapacity});
    Blocker blocker(*pool);
    fill_with_tickets(*pool, kCapacity, priority);
    EXPECT_EQ(pool->statistics().queued, kCapacity) << "the test has no subject";
    std::atomic<std::size_t> run{0};
    EXPECT_EQ(fill(*pool, priority, run), kCapacity);
    EXPECT_EQ(pool->statistics().queued, kCapacity);
    blocker.release();
    pool->drain();
    EXPECT_EQ(run.load(), kCapacity);
  }
}

TEST(SpentTasks, cancelled_tasks_leave_the_whole_queue_to_others) {
  // 1000: more than one sweep takes at once. 3: not a power of two.
  for (const std::size_t capacity : {1U, 2U, 3U, 64U, 1000U, 5000U}) {
    for (const TaskPriority priority : kPriorities) {
      const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = capacity});
      Blocker blocker(*pool);
      for (int lap = 0; lap < 3; ++lap) fill_with_cancelled(*pool, capacity, priority);
      std::atomic<std::size_t> run{0};
      EXPECT_EQ(fill(*pool, priority, run), capacity);
      blocker.release();
      const ThreadPoolStatistics statistics = pool->drain();
      EXPECT_EQ(run.load(), capacity);
      EXPECT_EQ(statistics.executed, capacity + 1);
      EXPECT_EQ(statistics.cancelled, 3 * capacity);
      EXPECT_EQ(statistics.discarded, 0U);
    }
  }
}

TEST(SpentTasks, every_way_of_adding_finds_their_places) {
  constexpr std::size_t kCapacity = 8;
  for (const auto& fill_with_spent : {fill_with_cancelled, fill_with_tickets}) {
    const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = kCapacity});
    Blocker blocker(*pool);
    std::atomic<std::size_t> run{0};
    const auto count = [&run] { run.fetch_add(1); };
    fill_with_spent(*pool, kCapacity, TaskPriority::normal);
    EXPECT_EQ(pool->add_until(ThreadPool::Clock::now(), count), AddResult::added);
    EXPECT_EQ(submit(*pool, count).added, AddResult::added);
    std::vector<Task> tasks(kCapacity);
    for (Task& task : tasks) task = count;
    const BulkAddResult bulk = pool->try_add_bulk(tasks);
    EXPECT_EQ(bulk.tasks, kCapacity - 2);
    EXPECT_EQ(bulk.result, AddResult::full);
    blocker.release();
    pool->drain();
    EXPECT_EQ(run.load(), kCapacity);
  }
}

TEST(SpentTasks, one_bulk_takes_all_their_places_however_many) {
  constexpr std::size_t kCapacity = 1000;
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = kCapacity});
  Blocker blocker(*pool);
  fill_with_cancelled(*pool, kCapacity, TaskPriority::low);
  std::vector<Task> tasks(kCapacity + 1);
  for (Task& task : tasks) task = [] {};
  EXPECT_EQ(pool->try_add_bulk(tasks, TaskPriority::low).tasks, kCapacity);
  blocker.release();
}

TEST(SpentTasks, a_worker_finds_their_places_too) {
  constexpr std::size_t kCapacity = 4;
  for (const std::size_t workers : {1U, 2U}) {
    const auto pool = ThreadPool::create(
        {.workers = workers, .capacity_tasks = kCapacity, .own_tasks_first = false});
    std::optional<Blocker> other;
    if (workers == 2) other.emplace(*pool);
    std::latch ended(1);
    ASSERT_EQ(pool->try_add([&] {
      fill_with_cancelled(*pool, kCapacity, TaskPriority::normal);
      EXPECT_EQ(pool->add_until(in_a_minute(), [] {}), AddResult::added);
      for (std::size_t i = 1; i < kCapacity; ++i) {
        EXPECT_EQ(pool->try_add([] {}), AddResult::added);
      }
      EXPECT_EQ(pool->try_add([] {}), AddResult::full);
      ended.count_down();
    }),
              AddResult::added);
    ended.wait();
    if (other) other->release();
    pool->drain();
  }
}

TEST(SpentTasks, those_between_others_go_and_the_others_keep_their_order) {
  constexpr int kCapacity = 100;
  for (int every = 2; every <= 5; ++every) {
    const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = kCapacity});
    Blocker blocker(*pool);
    std::vector<int> order;
    std::vector<int> expected;
    std::vector<Future<void>> futures;
    for (int i = 0; i < kCapacity; ++i) {
      auto [added, future] = submit(*pool, [&order, i] { order.push_back(i); });
      EXPECT_EQ(added, AddResult::added);
      futures.push_back(std::move(future));
    }
    int added = kCapacity;
    for (int i = 0; i < kCapacity; ++i) {
      if (i % every == 1) {
        EXPECT_EQ(futures[static_cast<std::size_t>(i)].cancel(), CancelResult::cancelled);
        // Each place is free as soon as it is cancelled, or all at once.
        if (every % 2 == 0) {
          EXPECT_EQ(pool->try_add([&order, added] { order.push_back(added); }), AddResult::added);
          ++added;
        }
      } else {
        expected.push_back(i);
      }
    }
    while (pool->try_add([&order, added] { order.push_back(added); }) == AddResult::added) ++added;
    EXPECT_EQ(added, 2 * kCapacity - static_cast<int>(expected.size()));
    for (int i = kCapacity; i < added; ++i) expected.push_back(i);
    blocker.release();
    pool->drain();
    EXPECT_EQ(order, expected);
  }
}

TEST(SpentTasks, a_group_that_goes_on_uses_the_tickets_it_has) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 100});
  Blocker blocker(*pool);
  TaskGroup group(*pool);
  int run = 0;
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < 5; ++i) group.add([&run] { ++run; });
    group.wait();
  }
  EXPECT_EQ(run, 5000);
  EXPECT_EQ(pool->statistics().queued, 5U);
  EXPECT_EQ(pool->statistics().refused, 0U);
  blocker.release();
}

TEST(SpentTasks, a_ticket_that_is_still_of_use_keeps_its_place) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 3});
  Blocker blocker(*pool);
  fill_with_tickets(*pool, 1, TaskPriority::normal);
  TaskGroup group(*pool);
  std::atomic<int> run{0};
  for (int i = 0; i < 2; ++i) group.add([&run] { run.fetch_add(1); });
  EXPECT_EQ(pool->try_add([] {}), AddResult::added) << "the ended group's place";
  EXPECT_EQ(pool->try_add([] {}), AddResult::full);
  blocker.release();
  EXPECT_TRUE(becomes_true([&run] { return run.load() == 2; })) << "without a wait";
}

TEST(SpentTasks, a_group_inside_a_running_wait_gives_up_what_it_does_not_need) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 4});
  Blocker blocker(*pool);
  TaskGroup group(*pool);
  for (int i = 0; i < 4; ++i) {
    group.add([&pool] { EXPECT_EQ(pool->try_add([] {}), AddResult::added); });
  }
  EXPECT_EQ(pool->try_add([] {}), AddResult::full) << "all four still wait";
  group.wait();
  blocker.release();
}

TEST(SpentTasks, a_cancelled_callable_is_gone_once_its_place_was_needed) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 1});
  Blocker blocker(*pool);
  const auto captured = std::make_shared<int>(1);
  {
    auto [added, future] = submit(*pool, [captured] {});
    EXPECT_EQ(added, AddResult::added);
    EXPECT_EQ(future.cancel(), CancelResult::cancelled);
  }
  EXPECT_EQ(captured.use_count(), 2);
  EXPECT_EQ(pool->try_add([] {}), AddResult::added);
  EXPECT_EQ(captured.use_count(), 1);
  blocker.release();
}

// Adds to the pool in its destructor.
class AddsAtItsEnd {
 public:
  explicit AddsAtItsEnd(ThreadPool& pool) : pool_(&pool) {}
  AddsAtItsEnd(AddsAtItsEnd&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)) {}
  AddsAtItsEnd& operator=(AddsAtItsEnd&&) = delete;
  ~AddsAtItsEnd() {
    if (pool_ != nullptr) {
      EXPECT_EQ(pool_->try_add([] {}), AddResult::added);
    }
  }
  void operator()() {}

 private:
  ThreadPool* pool_;
};

TEST(SpentTasks, a_cancelled_callable_may_use_the_pool_when_it_is_destroyed) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 4});
  Blocker blocker(*pool);
  for (int i = 0; i < 2; ++i) {
    auto [added, future] = submit(*pool, AddsAtItsEnd(*pool));
    EXPECT_EQ(added, AddResult::added);
    EXPECT_EQ(future.cancel(), CancelResult::cancelled);
  }
  EXPECT_EQ(pool->try_add([] {}), AddResult::added);
  EXPECT_EQ(pool->try_add([] {}), AddResult::added);
  EXPECT_EQ(pool->statistics().queued, 4U);
  // Both go, and each adds a task; with this one, three.
  static_cast<void>(pool->try_add([] {}));
  EXPECT_EQ(pool->statistics().queued, 4U);
  blocker.release();
  EXPECT_EQ(pool->drain().cancelled, 2U);
}

TEST(SpentTasks, tasks_of_ones_own_may_retire) {
  struct Retires {
    bool* asked;
    void operator()() { ADD_FAILURE() << "it has retired"; }
    bool retire() noexcept { return *asked = true; }
    void discard() noexcept { ADD_FAILURE() << "it has retired"; }
  };
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 2});
  Blocker blocker(*pool);
  bool asked[2] = {};
  EXPECT_EQ(pool->try_add(Retires{&asked[0]}), AddResult::added);
  EXPECT_EQ(pool->try_add(boxed(Retires{&asked[1]})), AddResult::added);
  EXPECT_EQ(pool->try_add([] {}), AddResult::full) << "nobody has said that one would retire";
  EXPECT_FALSE(asked[0]);
  pool->count_spent_task();
  EXPECT_EQ(pool->try_add([] {}), AddResult::added);
  EXPECT_EQ(pool->try_add([] {}), AddResult::added);
  EXPECT_TRUE(asked[0] && asked[1]);
  blocker.release();
}

}  // namespace
}  // namespace evpool
