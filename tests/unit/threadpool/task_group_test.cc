#include "threadpool/task_group.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <functional>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/becomes_true.h"
#include "tests/unit/threadpool/blocker.h"
#include "tests/unit/threadpool/returned_early.h"
#include "threadpool/future.h"
#include "threadpool/thread_pool.h"

namespace evpool {
namespace {

constexpr int kMoreThanWait = static_cast<int>(TaskGroup::kWaitingTasks) + 8;

int fibonacci(ThreadPool& pool, int n) {
  if (n < 2) return n;
  int left = 0;
  int right = 0;
  TaskGroup group(pool);
  group.add([&pool, &left, n] { left = fibonacci(pool, n - 1); });
  group.add([&pool, &right, n] { right = fibonacci(pool, n - 2); });
  group.wait();
  return left + right;
}

// --- Waiting ----------------------------------------------------------------------------------

TEST(TaskGroup, every_task_has_run_once_when_wait_returns) {
  const auto pool = ThreadPool::create({.workers = 3, .capacity_tasks = 1024});
  constexpr std::size_t kTasks = 1000;
  // Not atomic: wait must come after the tasks, also for ThreadSanitizer.
  std::vector<int> runs(kTasks);
  TaskGroup group(*pool);
  for (int& run : runs) group.add([&run] { ++run; });
  group.wait();
  EXPECT_EQ(runs, std::vector<int>(kTasks, 1));
}

TEST(TaskGroup, waits_for_what_a_worker_runs) {
  const auto pool = ThreadPool::create({.workers = 1});
  std::latch running(1);
  std::atomic<bool> returned{false};
  bool early = true;
  TaskGroup group(*pool);
  group.add([&] {
    running.count_down();
    early = returned_early(returned);
  });
  running.wait();
  group.wait();
  returned.store(true);
  EXPECT_FALSE(early);
}

TEST(TaskGroup, its_destructor_waits_for_what_waits_and_what_runs) {
  const auto pool = ThreadPool::create({.workers = 1});
  std::latch running(1);
  std::atomic<bool> returned{false};
  std::atomic<int> run{0};
  bool early = true;
  {
    TaskGroup group(*pool);
    group.add([&] {
      running.count_down();
      early = returned_early(returned);
    });
    running.wait();
    for (int i = 0; i < 5; ++i) group.add([&run] { run.fetch_add(1); });
  }
  returned.store(true);
  EXPECT_EQ(run.load(), 5);
  pool->drain();  // should the destructor not have waited: the task uses what is here
  EXPECT_FALSE(early);
}

TEST(TaskGroup, a_group_without_tasks_waits_for_nothing) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  TaskGroup group(*pool);
  group.wait();
  group.wait();
  blocker.release();
}

TEST(TaskGroup, can_be_used_again_after_a_wait) {
  const auto pool = ThreadPool::create({.workers = 2});
  TaskGroup group(*pool);
  std::atomic<int> run{0};
  for (int round = 1; round <= 1000; ++round) {
    for (int i = 0; i < 5; ++i) group.add([&run] { run.fetch_add(1); });
    group.wait();
    ASSERT_EQ(run.load(), 5 * round);
  }
}

TEST(TaskGroup, what_a_task_captured_is_gone_when_wait_returns) {
  struct Captured {
    explicit Captured(const std::function<void()>& to_call) : when_destroyed(to_call) {}
    Captured(const Captured&) = delete;
    Captured& operator=(const Captured&) = delete;
    ~Captured() { when_destroyed(); }
    std::function<void()> when_destroyed;
  };
  const auto pool = ThreadPool::create({.workers = 1});
  std::latch running(1);
  std::atomic<bool> returned{false};
  std::atomic<bool> early{true};
  TaskGroup group(*pool);
  group.add([&running, captured = std::make_unique<Captured>([&] {
                         early.store(returned_early(returned));
                       })] { running.count_down(); });
  running.wait();
  group.wait();
  returned.store(true);
  pool->drain();  // should wait have returned too early: the destructor uses what is here
  EXPECT_FALSE(early.load());
}

TEST(TaskGroup, wait_runs_what_no_worker_has_begun_and_no_strangers_task) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  std::atomic<int> strangers{0};
  ASSERT_EQ(pool->try_add([&strangers] { strangers.fetch_add(1); }), AddResult::added);
  std::vector<std::thread::id> ran_in;
  TaskGroup group(*pool);
  for (int i = 0; i < 3; ++i) {
    group.add([&ran_in] { ran_in.push_back(std::this_thread::get_id()); });
  }
  EXPECT_TRUE(ran_in.empty());
  group.wait();
  EXPECT_EQ(ran_in, std::vector<std::thread::id>(3, std::this_thread::get_id()));
  EXPECT_EQ(strangers.load(), 0);
  blocker.release();
  pool->drain();
  EXPECT_EQ(strangers.load(), 1);
}

TEST(TaskGroup, workers_run_its_tasks_without_a_wait) {
  const auto pool = ThreadPool::create({.workers = 2});
  // Two tasks that need each other can only end when two workers run them.
  std::latch both(2);
  std::atomic<int> ended{0};
  TaskGroup group(*pool);
  for (int i = 0; i < 2; ++i) {
    group.add([&] {
      both.arrive_and_wait();
      ended.fetch_add(1);
    });
  }
  EXPECT_TRUE(becomes_true([&ended] { return ended.load() == 2; }));
  group.wait();
}

TEST(TaskGroup, what_the_pool_was_given_may_come_to_its_turn_after_the_group) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  std::atomic<int> run{0};
  {
    TaskGroup group(*pool);
    for (int i = 0; i < 5; ++i) group.add([&run] { run.fetch_add(1); });
  }
  EXPECT_EQ(run.load(), 5);
  blocker.release();
  EXPECT_EQ(pool->drain().executed, 6U);
  EXPECT_EQ(run.load(), 5);
}

// --- On workers -------------------------------------------------------------------------------

TEST(TaskGroup, a_worker_may_wait_for_a_group_of_its_own_pool) {
  const auto pool = ThreadPool::create({.workers = 1});
  auto submitted = submit(*pool, [&pool] {
    int run = 0;
    TaskGroup group(*pool);
    for (int i = 0; i < 5; ++i) group.add([&run] { ++run; });
    group.wait();
    EXPECT_TRUE(pool->is_own_worker());
    return run;
  });
  ASSERT_EQ(submitted.added, AddResult::added);
  EXPECT_EQ(submitted.future.get(), 5);
}

TEST(TaskGroup, nested_groups_do_not_deadlock_a_pool_of_one_worker) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 8});
  std::atomic<int> run{0};
  const std::function<void(int)> nest = [&](int depth) {
    run.fetch_add(1);
    if (depth == 0) return;
    TaskGroup group(*pool);
    for (int i = 0; i < 3; ++i) group.add([&nest, depth] { nest(depth - 1); });
    group.wait();
  };
  auto submitted = submit(*pool, [&nest] { nest(4); });
  ASSERT_EQ(submitted.added, AddResult::added);
  submitted.future.get();
  EXPECT_EQ(run.load(), 1 + 3 + 9 + 27 + 81);
}

TEST(TaskGroup, recursion_gives_the_right_sum_with_one_worker_and_with_several) {
  for (const std::size_t workers : {1U, 2U, 4U}) {
    // With room for the task below too: what a group gave the pool stays there, also when wait has
    // run the task itself.
    const auto pool = ThreadPool::create({.workers = workers, .capacity_tasks = 1024});
    EXPECT_EQ(fibonacci(*pool, 12), 144) << workers << " workers, from outside";
    auto inside = submit(*pool, [&pool] { return fibonacci(*pool, 12); });
    ASSERT_EQ(inside.added, AddResult::added);
    EXPECT_EQ(inside.future.get(), 144) << workers << " workers, from a task";
  }
}

TEST(TaskGroup, wait_also_waits_for_what_its_tasks_add) {
  const auto pool = ThreadPool::create({.workers = 2, .capacity_tasks = 1024});
  std::atomic<int> run{0};
  TaskGroup group(*pool);
  const std::function<void(int)> grow = [&](int depth) {
    run.fetch_add(1);
    if (depth == 0) return;
    for (int i = 0; i < 2; ++i) group.add([&grow, depth] { grow(depth - 1); });
  };
  for (int round = 1; round <= 20; ++round) {
    group.add([&grow] { grow(7); });
    group.wait();
    ASSERT_EQ(run.load(), round * 255);
  }
}

TEST(TaskGroup, takes_tasks_from_many_threads) {
  const auto pool = ThreadPool::create({.workers = 2, .capacity_tasks = 64});
  std::atomic<int> run{0};
  TaskGroup group(*pool);
  std::vector<std::thread> adders;
  for (int i = 0; i < 4; ++i) {
    adders.emplace_back([&] {
      for (int task = 0; task < 500; ++task) group.add([&run] { run.fetch_add(1); });
    });
  }
  for (std::thread& adder : adders) adder.join();
  group.wait();
  EXPECT_EQ(run.load(), 2000);
}

// --- Bounds and refusals ----------------------------------------------------------------------

TEST(TaskGroup, add_itself_runs_what_is_more_than_may_wait) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  std::vector<int> order;
  TaskGroup group(*pool);
  for (int i = 0; i < kMoreThanWait; ++i) {
    group.add([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), kMoreThanWait - TaskGroup::kWaitingTasks);
  for (std::size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(order[i], static_cast<int>(TaskGroup::kWaitingTasks + i));
  }
  group.wait();
  EXPECT_EQ(order.size(), static_cast<std::size_t>(kMoreThanWait));
  blocker.release();
}

TEST(TaskGroup, a_full_pool_refuses_no_task) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 1});
  Blocker blocker(*pool);
  ASSERT_EQ(pool->try_add([] {}), AddResult::added);
  ASSERT_EQ(pool->try_add([] {}), AddResult::full);
  int run = 0;
  TaskGroup group(*pool);
  for (int i = 0; i < kMoreThanWait; ++i) group.add([&run] { ++run; });
  group.wait();
  EXPECT_EQ(run, kMoreThanWait);
  blocker.release();
}

TEST(TaskGroup, a_drained_and_a_stopped_pool_refuse_no_task) {
  for (const bool drained : {true, false}) {
    const auto pool = ThreadPool::create({.workers = 1});
    drained ? pool->drain() : pool->stop();
    int run = 0;
    TaskGroup group(*pool);
    for (int i = 0; i < kMoreThanWait; ++i) group.add([&run] { ++run; });
    group.wait();
    EXPECT_EQ(run, kMoreThanWait);
  }
}

TEST(TaskGroup, a_stop_after_the_adding_loses_no_task) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  int run = 0;
  TaskGroup group(*pool);
  for (int i = 0; i < 10; ++i) group.add([&run] { ++run; });
  pool->discard_queued();
  group.wait();
  EXPECT_EQ(run, 10);
  blocker.release();
}

TEST(TaskGroup, uses_the_priority_asked_for) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 1});
  Blocker blocker(*pool);
  ASSERT_EQ(pool->try_add([] {}, TaskPriority::normal), AddResult::added);
  std::atomic<int> run{0};
  TaskGroup group(*pool, TaskPriority::high);
  group.add([&run] { run.fetch_add(1); });
  EXPECT_EQ(pool->try_add([] {}, TaskPriority::high), AddResult::full)
      << "the group's has its place";
  blocker.release();
  EXPECT_TRUE(becomes_true([&run] { return run.load() == 1; }));
  group.wait();
}

// --- Exceptions -------------------------------------------------------------------------------

TEST(TaskGroup, wait_rethrows_the_first_exception_and_the_other_tasks_run) {
  std::atomic<int> handled{0};
  const auto pool =
      ThreadPool::create({.workers = 1, .on_exception = [&handled](const std::exception_ptr&) {
                            handled.fetch_add(1);
                          }});
  Blocker blocker(*pool);  // so that this thread runs them all, the last first
  int run = 0;
  TaskGroup group(*pool);
  for (int i = 0; i < 10; ++i) {
    group.add([&run, i] {
      ++run;
      if (i == 7 || i == 3) throw std::runtime_error("number " + std::to_string(i));
    });
  }
  try {
    group.wait();
    ADD_FAILURE() << "it did not throw";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "number 7");
  }
  EXPECT_EQ(run, 10);
  group.add([&run] { ++run; });
  group.wait();  // throws no exception twice
  EXPECT_EQ(run, 11);
  blocker.release();
  pool->drain();
  EXPECT_EQ(handled.load(), 0);
}

TEST(TaskGroup, an_exception_on_a_worker_or_in_add_reaches_wait) {
  const auto pool = ThreadPool::create({.workers = 1});
  std::latch running(1);
  TaskGroup group(*pool);
  group.add([&running] {
    running.count_down();
    throw std::runtime_error("on a worker");
  });
  running.wait();
  EXPECT_THROW(group.wait(), std::runtime_error);

  Blocker blocker(*pool);
  for (std::size_t i = 0; i < TaskGroup::kWaitingTasks; ++i) group.add([] {});
  group.add([] { throw std::logic_error("in add"); });
  EXPECT_THROW(group.wait(), std::logic_error);
  blocker.release();
}

TEST(TaskGroup, its_destructor_runs_the_tasks_and_drops_an_exception) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  int run = 0;
  {
    TaskGroup group(*pool);
    for (int i = 0; i < 3; ++i) {
      group.add([&run] {
        ++run;
        throw std::runtime_error("no luck");
      });
    }
  }
  EXPECT_EQ(run, 3);
  blocker.release();
}

}  // namespace
}  // namespace evpool
