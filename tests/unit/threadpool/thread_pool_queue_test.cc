// Priorities, bulk, waiting for room, statistics, and the rings' edges.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <latch>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/becomes_true.h"
#include "tests/unit/threadpool/blocker.h"
#include "threadpool/task_ring.h"
#include "threadpool/thread_pool.h"

namespace evpool {
namespace {

using Clock = ThreadPool::Clock;

// A ring with memory of its own.
class OwnRing {
 public:
  explicit OwnRing(std::size_t capacity)
      : cells_(TaskRing::cells_for(capacity)), stamps_(TaskRing::stamps_for(capacity)) {
    ring_.use(capacity, cells_.data(), stamps_.data());
  }
  ~OwnRing() {
    Task task;
    while (ring_.take(task).tasks == 1) task.reset();
  }
  OwnRing(const OwnRing&) = delete;
  OwnRing& operator=(const OwnRing&) = delete;
  TaskRing* operator->() { return &ring_; }

 private:
  std::vector<TaskCell> cells_;
  std::vector<std::uint64_t> stamps_;
  TaskRing ring_;
};

TEST(TaskRing, holds_exactly_its_capacity_whatever_that_is) {
  for (const std::size_t capacity : {1U, 2U, 3U, 5U, 64U, 1000U}) {
    OwnRing ring(capacity);
    for (int lap = 0; lap < 3; ++lap) {
      std::vector<Task> tasks(capacity + 1);
      for (Task& task : tasks) task = [] {};
      const TaskRing::Added added = ring->add(tasks);
      EXPECT_EQ(added.tasks, capacity);
      EXPECT_EQ(added.refusal, TaskRing::Refusal::full);
      EXPECT_EQ(ring->size(), capacity);
      EXPECT_TRUE(ring->full());
      EXPECT_TRUE(static_cast<bool>(tasks.back())) << "the one too many stays";
      Task taken;
      for (std::size_t i = 0; i < capacity; ++i) {
        ASSERT_EQ(ring->take(taken).tasks, 1U);
        taken.reset();
      }
      EXPECT_EQ(ring->take(taken).tasks, 0U);
      EXPECT_TRUE(ring->empty());
    }
    EXPECT_EQ(ring->high_water(), capacity);
  }
}

TEST(TaskRing, keeps_the_order_over_many_laps_of_uneven_bulks) {
  OwnRing ring(7);
  std::vector<int> order;
  int next = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<Task> tasks(static_cast<std::size_t>(round % 5 + 1));
    for (Task& task : tasks) task = [&order, number = next++] { order.push_back(number); };
    const std::size_t added = ring->add(tasks).tasks;
    next -= static_cast<int>(tasks.size() - added);
    std::array<Task, 4> taken;
    const auto claim = ring->claim(static_cast<std::size_t>(round % 4 + 1));
    ring->move_out(claim, taken.data());
    ring->give_back(claim);
    for (std::size_t i = 0; i < claim.tasks; ++i) taken[i].run();
  }
  std::vector<int> expected(order.size());
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
  EXPECT_GT(order.size(), 3000U);
}

TEST(TaskRing, measures_the_time_of_every_256th_alone) {
  OwnRing ring(1024);
  std::vector<Task> tasks(600);
  for (Task& task : tasks) task = [] {};
  const std::uint64_t before = TaskRing::now_ns();
  ASSERT_EQ(ring->add(tasks).tasks, 600U);
  std::size_t taken = 0;
  std::size_t measured = 0;
  std::array<Task, 16> out;
  while (taken < 600) {
    const auto claim = ring->claim(out.size());
    if (claim.added_at_ns != 0) {
      EXPECT_EQ(claim.tasks, 1U);
      EXPECT_EQ(claim.position % TaskRing::kSampledTasks, 0U);
      EXPECT_GE(claim.added_at_ns, before);
      EXPECT_LE(claim.added_at_ns, TaskRing::now_ns());
      ++measured;
    }
    ring->move_out(claim, out.data());
    ring->give_back(claim);
    for (Task& task : out) task.reset();
    taken += claim.tasks;
  }
  EXPECT_EQ(measured, 3U);
}

TEST(TaskRing, refuses_when_closed_and_still_gives_what_it_has) {
  OwnRing ring(4);
  Task task = [] {};
  ASSERT_EQ(ring->add(std::span(&task, 1)).tasks, 1U);
  ring->close();
  ring->close();
  Task late = [] {};
  EXPECT_EQ(ring->add(std::span(&late, 1)).refusal, TaskRing::Refusal::closed);
  EXPECT_TRUE(static_cast<bool>(late));
  EXPECT_EQ(ring->size(), 1U);
  EXPECT_EQ(ring->take(task).tasks, 1U);
  EXPECT_TRUE(ring->closed() && ring->empty());
}

// Holds the only worker until opened.
class HeldPool {
 public:
  explicit HeldPool(std::size_t capacity_tasks)
      : pool_(ThreadPool::create({.workers = 1, .capacity_tasks = capacity_tasks})) {
    EXPECT_EQ(pool_->try_add([this] { gate_.wait(); }), AddResult::added);
    gate_.entered.wait();
  }
  ThreadPool* operator->() { return pool_.get(); }
  void open() { gate_.open.count_down(); }

 private:
  Gate gate_;  // outlives the worker that leaves it
  std::unique_ptr<ThreadPool> pool_;
};

TEST(ThreadPoolPriorities, go_before_each_other_and_none_starves) {
  constexpr int kEach = 320;
  HeldPool pool(kEach);
  std::string order;
  for (int i = 0; i < kEach; ++i) {
    ASSERT_EQ(pool->try_add([&order] { order += 'l'; }, TaskPriority::low), AddResult::added);
    ASSERT_EQ(pool->try_add([&order] { order += 'n'; }), AddResult::added);
    ASSERT_EQ(pool->try_add([&order] { order += 'h'; }, TaskPriority::high), AddResult::added);
  }
  pool.open();
  pool->drain();
  ASSERT_EQ(order.size(), 3U * kEach);
  const auto count_in = [&order](std::size_t first, std::size_t tasks, char priority) {
    return std::count(order.begin() + static_cast<std::ptrdiff_t>(first),
                      order.begin() + static_cast<std::ptrdiff_t>(first + tasks), priority);
  };
  // While there are high ones they get most, and each of the others at least one of 16.
  EXPECT_GE(count_in(0, 160, 'h'), 160 * 12 / 16);
  for (std::size_t first = 0; first < 320; first += 32) {
    EXPECT_GE(count_in(first, 32, 'l'), 1) << first;
    EXPECT_GE(count_in(first, 32, 'n'), 1) << first;
  }
  // And high is done when low has hardly begun.
  EXPECT_LT(order.rfind('h'), 2U * kEach);
  EXPECT_EQ(order.back(), 'l');
}

TEST(ThreadPoolPriorities, have_room_of_their_own) {
  HeldPool pool(2);
  ASSERT_EQ(pool->try_add([] {}, TaskPriority::low), AddResult::added);
  ASSERT_EQ(pool->try_add([] {}, TaskPriority::low), AddResult::added);
  EXPECT_EQ(pool->try_add([] {}, TaskPriority::low), AddResult::full);
  EXPECT_EQ(pool->try_add([] {}, TaskPriority::high), AddResult::added);
  pool.open();
}

TEST(ThreadPoolBulk, adds_what_fits_in_order_and_leaves_the_rest) {
  HeldPool pool(10);
  std::vector<int> order;
  std::vector<Task> tasks(13);
  for (int i = 0; i < 13; ++i) {
    tasks[static_cast<std::size_t>(i)] = [&order, i] { order.push_back(i); };
  }
  const BulkAddResult some = pool->try_add_bulk(tasks);
  EXPECT_EQ(some.tasks, 10U);
  EXPECT_EQ(some.result, AddResult::full);
  EXPECT_FALSE(static_cast<bool>(tasks[9]));
  EXPECT_TRUE(static_cast<bool>(tasks[10]));
  EXPECT_EQ(pool->statistics().refused, 3U);
  EXPECT_EQ(pool->statistics().high_water, 10U);
  pool.open();
  pool->drain();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  const BulkAddResult none = pool->try_add_bulk(std::span(tasks).subspan(10));
  EXPECT_EQ(none.tasks, 0U);
  EXPECT_EQ(none.result, AddResult::stopped);
}

TEST(ThreadPoolBulk, of_nothing_is_added) {
  const auto pool = ThreadPool::create({.workers = 1});
  const BulkAddResult nothing = pool->try_add_bulk({});
  EXPECT_EQ(nothing.tasks, 0U);
  EXPECT_EQ(nothing.result, AddResult::added);
}

// One wake-up for a bulk: the woken worker wakes the next when there is more than it needs.
TEST(ThreadPoolBulk, reaches_every_worker) {
  constexpr std::size_t kWorkers = 4;
  std::deque<std::latch> rounds;  // outlive those who still leave them
  const auto pool = ThreadPool::create({.workers = kWorkers});
  for (int round = 0; round < 100; ++round) {
    // Each task waits for all: one that stays behind another's back hangs the round.
    std::latch& all = rounds.emplace_back(static_cast<std::ptrdiff_t>(kWorkers));
    std::array<Task, kWorkers> tasks;
    for (Task& task : tasks) task = [&all] { all.arrive_and_wait(); };
    ASSERT_EQ(pool->try_add_bulk(tasks).tasks, kWorkers);
    all.wait();
  }
  EXPECT_EQ(pool->drain().executed, 100U * kWorkers);
}

// The same, where the tasks come in a batch: nothing is stuck behind a long task.
TEST(ThreadPoolBulk, leaves_nothing_behind_a_long_task) {
  std::deque<std::latch> rounds;  // outlive those who still leave them
  const auto pool = ThreadPool::create({.workers = 2});
  for (int round = 0; round < 200; ++round) {
    std::latch& others = rounds.emplace_back(64);
    std::vector<Task> tasks(65);
    tasks[0] = [&others] { others.wait(); };
    for (std::size_t i = 1; i < tasks.size(); ++i) tasks[i] = [&others] { others.count_down(); };
    ASSERT_EQ(pool->try_add_bulk(tasks).tasks, tasks.size());
    others.wait();
  }
  EXPECT_EQ(pool->drain().executed, 200U * 65);
}

TEST(ThreadPoolLanes, tasks_that_a_task_adds_reach_other_workers_while_it_runs) {
  std::deque<std::latch> rounds;  // outlive those who still leave them
  const auto pool = ThreadPool::create({.workers = 2});
  for (int round = 0; round < 200; ++round) {
    std::latch& done = rounds.emplace_back(1);
    std::latch& added_ran = rounds.emplace_back(10);
    ASSERT_EQ(pool->try_add([&] {
      for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(pool->try_add([&added_ran] { added_ran.count_down(); }), AddResult::added);
      }
      added_ran.wait();  // by the other worker
      done.count_down();
    }),
              AddResult::added);
    done.wait();
  }
}

TEST(ThreadPoolLanes, what_a_task_adds_waits_behind_the_others_where_that_is_asked_for) {
  Gate adding;
  std::latch both(2);
  std::string order;  // the one free worker's
  const auto pool = ThreadPool::create({.workers = 2, .own_tasks_first = false});
  Blocker other(*pool);
  ASSERT_EQ(pool->try_add([&] {
    adding.wait();
    EXPECT_EQ(pool->try_add([&] {
      order += "own ";
      both.count_down();
    }),
              AddResult::added);
  }),
            AddResult::added);
  adding.entered.wait();
  ASSERT_EQ(pool->try_add([&] {
    order += "earlier ";
    both.count_down();
  }),
            AddResult::added);
  adding.open.count_down();
  both.wait();
  other.release();
  pool->drain();
  EXPECT_EQ(order, "earlier own ");
}

TEST(ThreadPoolLanes, a_task_that_adds_itself_for_ever_starves_nobody) {
  const auto pool = ThreadPool::create({.workers = 2});
  std::atomic<bool> end{false};
  struct Chain {
    ThreadPool* pool;
    std::atomic<bool>* end;
    void operator()() const {
      if (!end->load()) static_cast<void>(pool->try_add(Chain{pool, end}));
    }
  };
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(pool->try_add(Chain{pool.get(), &end}), AddResult::added);
  }
  std::latch low(100);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(pool->try_add([&low] { low.count_down(); }, TaskPriority::low), AddResult::added);
  }
  low.wait();
  end.store(true);
  pool->drain();
}

// A task that adds itself again, at high priority and so to a shared ring, until it is told to end:
// the worker that has it always finds something there.
class Flood {
 public:
  void start(ThreadPool& pool) {
    ASSERT_EQ(pool.try_add(Turn{this, &pool}, TaskPriority::high), AddResult::added);
  }
  void wait_until_it_runs() const {
    while (turns_.load() == 0) std::this_thread::yield();
  }
  void end() { ended_.store(true); }

 private:
  struct Turn {
    Flood* flood;
    ThreadPool* pool;
    void operator()() const {
      flood->turns_.fetch_add(1);
      if (flood->ended_.load()) return;
      static_cast<void>(pool->try_add(Turn{flood, pool}, TaskPriority::high));
    }
  };
  std::atomic<std::uint64_t> turns_{0};
  std::atomic<bool> ended_{false};
};

TEST(ThreadPoolLanes, what_a_busy_task_added_is_run_although_all_others_find_enough_elsewhere) {
  for (const std::size_t workers : {2U, 4U}) {
    static constexpr int kChildren = 3;
    Flood flood;
    std::latch all_busy(static_cast<std::ptrdiff_t>(workers) - 1);
    std::atomic<int> in_time{0};
    const auto pool = ThreadPool::create({.workers = workers});
    for (std::size_t i = 1; i < workers; ++i) {
      ASSERT_EQ(pool->try_add([&] {
        all_busy.count_down();
        flood.wait_until_it_runs();
        const auto children = std::make_shared<std::atomic<int>>(0);
        for (int child = 0; child < kChildren; ++child) {
          EXPECT_EQ(pool->try_add([children] { children->fetch_add(1); }), AddResult::added);
        }
        if (becomes_true([&children] { return children->load() == kChildren; })) {
          in_time.fetch_add(1);
        }
      }),
                AddResult::added);
    }
    all_busy.wait();
    flood.start(*pool);
    EXPECT_TRUE(becomes_true([&] { return in_time.load() == static_cast<int>(workers) - 1; }))
        << workers << " workers";
    flood.end();
    pool->drain();
  }
}

TEST(ThreadPoolBulk, leaves_nothing_in_a_busy_workers_batch_although_the_other_finds_enough) {
  static constexpr int kTasks = 64;
  Flood flood;
  std::atomic<int> others{0};
  std::latch held(1);
  std::atomic<bool> in_time{false};
  const auto pool = ThreadPool::create({.workers = 2});
  Blocker first(*pool);
  Blocker second(*pool);
  std::vector<Task> tasks(kTasks);
  tasks[0] = [&] {
    held.count_down();
    in_time.store(becomes_true([&others] { return others.load() == kTasks - 1; }));
  };
  for (std::size_t i = 1; i < tasks.size(); ++i) tasks[i] = [&others] { others.fetch_add(1); };
  ASSERT_EQ(pool->try_add_bulk(tasks).tasks, tasks.size());
  first.release();
  held.wait();  // with a batch behind it
  flood.start(*pool);
  second.release();
  EXPECT_TRUE(becomes_true([&others] { return others.load() == kTasks - 1; }));
  flood.end();
  pool->drain();
  EXPECT_TRUE(in_time.load());
}

// Adds tasks 0, 1, 2 ... to a pool of one worker from several threads, and from the tasks.
class NumberedTasks {
 public:
  static constexpr std::size_t kTasks = 20'000;
  explicit NumberedTasks(ThreadPool& pool) : pool_(pool) {}

  // Several at once, some of them in bulk. False: all have been added.
  bool add_some() {
    const std::lock_guard lock(mutex_);  // so that the adding has an order
    const std::size_t left = kTasks - added_;
    const std::size_t count = std::min<std::size_t>(random_() % 100, left);
    if (random_() % 2 == 0) {
      std::vector<Task> tasks(count);
      for (std::size_t i = 0; i < count; ++i) tasks[i] = numbered(added_ + i);
      added_ += pool_.try_add_bulk(tasks).tasks;
    } else {
      for (std::size_t i = 0; i < count; ++i) {
        if (pool_.try_add(numbered(added_)) == AddResult::added) ++added_;
      }
    }
    return left > 0;
  }
  [[nodiscard]] const std::vector<std::size_t>& ran() const { return ran_; }

 private:
  Task numbered(std::size_t number) {
    return [this, number] {
      ran_.push_back(number);
      if (number % 8 == 0) add_some();
    };
  }

  ThreadPool& pool_;
  std::mutex mutex_;
  std::size_t added_ = 0;
  std::mt19937 random_{7};        // NOLINT(cert-msc32-c,cert-msc51-cpp): the same cases each time
  std::vector<std::size_t> ran_;  // the worker's
};

TEST(ThreadPoolOrder, of_one_worker_is_that_of_the_adding_whoever_adds) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 256});
  NumberedTasks tasks(*pool);
  const auto add_all = [&tasks] {
    while (tasks.add_some()) std::this_thread::yield();
  };
  std::thread other(add_all);
  add_all();
  other.join();
  pool->drain();
  ASSERT_EQ(tasks.ran().size(), NumberedTasks::kTasks);
  EXPECT_TRUE(std::is_sorted(tasks.ran().begin(), tasks.ran().end()));
}

TEST(ThreadPoolAddUntil, waits_for_room) {
  HeldPool pool(1);
  ASSERT_EQ(pool->try_add([] {}), AddResult::added);
  std::thread opener([&pool] { pool.open(); });
  std::atomic<int> run{0};
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(pool->add_until(Clock::time_point::max(), [&run] { run.fetch_add(1); }),
              AddResult::added);
  }
  opener.join();
  EXPECT_EQ(pool->drain().executed, 102U);
  EXPECT_EQ(run.load(), 100);
}

TEST(ThreadPoolAddUntil, gives_up_at_the_deadline_and_leaves_the_task) {
  HeldPool pool(1);
  ASSERT_EQ(pool->try_add([] {}), AddResult::added);
  Task task = [] {};
  const auto deadline = Clock::now() + std::chrono::milliseconds(20);
  EXPECT_EQ(pool->add_until(deadline, std::move(task)), AddResult::full);
  EXPECT_GE(Clock::now(), deadline);
  EXPECT_TRUE(static_cast<bool>(task));  // NOLINT(bugprone-use-after-move): that is the test
  EXPECT_EQ(pool->add_until(Clock::time_point::min(), std::move(task)), AddResult::full);
  EXPECT_EQ(pool->statistics().refused, 2U);
  pool.open();
}

TEST(ThreadPoolAddUntil, of_many_threads_loses_nobody_and_is_ended_by_stop) {
  const auto pool = ThreadPool::create({.workers = 2, .capacity_tasks = 2});
  std::atomic<int> run{0};
  std::atomic<int> added{0};
  std::vector<std::thread> adders;
  for (int i = 0; i < 4; ++i) {
    adders.emplace_back([&] {
      while (pool->add_until(Clock::time_point::max(), [&run] { run.fetch_add(1); }) ==
             AddResult::added) {
        added.fetch_add(1);
      }
    });
  }
  while (added.load() < 20'000) std::this_thread::yield();
  pool->drain();
  for (std::thread& adder : adders) adder.join();
  EXPECT_EQ(run.load(), added.load());
}

TEST(ThreadPoolStatistics, count_what_happens) {
  const auto pool = ThreadPool::create({.workers = 2, .capacity_tasks = 1024});
  EXPECT_EQ(pool->statistics().executed, 0U);
  for (int i = 0; i < 1000; ++i) {
    std::latch done(1);
    ASSERT_EQ(pool->try_add([&done] { done.count_down(); }), AddResult::added);
    done.wait();
  }
  const ThreadPoolStatistics statistics = pool->drain();
  EXPECT_EQ(statistics.executed, 1000U);
  EXPECT_EQ(statistics.queued, 0U);
  EXPECT_GE(statistics.high_water, 1U);
  EXPECT_EQ(statistics.queue_time.samples, 4U);  // positions 0, 256, 512, 768
  EXPECT_EQ(statistics.run_time.samples, 4U);
  EXPECT_GE(statistics.queue_time.total_ns, statistics.queue_time.max_ns);
  EXPECT_GT(statistics.queue_time.max_ns, 0U);
  EXPECT_GE(statistics.parks + 2, statistics.wakes);
  EXPECT_GE(statistics.wakes, statistics.spurious_wakes);
}

TEST(ThreadPoolStatistics, high_water_is_exact) {
  HeldPool pool(100);
  for (int i = 0; i < 37; ++i) ASSERT_EQ(pool->try_add([] {}), AddResult::added);
  EXPECT_EQ(pool->statistics().high_water, 37U);
  EXPECT_EQ(pool->statistics().queued, 37U);
  pool.open();
  EXPECT_EQ(pool->drain().high_water, 37U);
}

}  // namespace
}  // namespace evpool
