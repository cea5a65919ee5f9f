#include "threadpool/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <latch>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "tests/failing_pthread_create.h"
#include "tests/unit/threadpool/blocker.h"
#include "threadpool/future.h"
#include "threadpool/task_group.h"

EVPOOL_DEFINE_FAILING_PTHREAD_CREATE

namespace {

// -1: never. 0: this thread's next allocation fails; k: k allocations succeed first.
thread_local int allocations_until_failure = -1;
std::atomic<std::uint64_t> allocations_made{0};  // by all threads

void* allocate(std::size_t bytes, std::size_t alignment) {
  allocations_made.fetch_add(1);
  if (allocations_until_failure >= 0 && allocations_until_failure-- == 0) throw std::bad_alloc();
  void* const memory =
      std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// Not inlined: gcc would see free() meet operator new, and warn.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return allocate(bytes, alignof(std::max_align_t));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace evpool {
namespace {

// Counts how often it was run and discarded, wherever it was moved to.
class Tracked {
 public:
  Tracked(std::atomic<int>& run, std::atomic<int>& discarded)
      : run_(&run), discarded_(&discarded) {}
  void operator()() { run_->fetch_add(1); }
  void discard() noexcept { discarded_->fetch_add(1); }

 private:
  std::atomic<int>* run_;
  std::atomic<int>* discarded_;
};

TEST(ThreadPool, runs_every_task_once) {
  constexpr int kTasks = 10'000;
  const auto pool = ThreadPool::create({.workers = 4, .capacity_tasks = kTasks});
  std::vector<std::atomic<int>> runs(kTasks);
  for (auto& run : runs) {
    ASSERT_EQ(pool->try_add([&run] { run.fetch_add(1); }), AddResult::added);
  }
  EXPECT_EQ(pool->drain().executed, kTasks);
  for (const auto& run : runs) EXPECT_EQ(run.load(), 1);
}

TEST(ThreadPool, runs_tasks_in_the_order_they_were_added) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 100});
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(pool->try_add([&order, i] { order.push_back(i); }), AddResult::added);
  }
  pool->drain();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(ThreadPool, refuses_a_task_when_the_queue_is_full_and_leaves_it_with_the_caller) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 3});
  Blocker blocker(*pool);
  std::atomic<int> run{0};
  std::atomic<int> discarded{0};
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(pool->try_add(Tracked(run, discarded)), AddResult::added);
  }
  Task one_more{Tracked(run, discarded)};
  EXPECT_EQ(pool->try_add(std::move(one_more)), AddResult::full);
  ASSERT_TRUE(static_cast<bool>(one_more));  // NOLINT(bugprone-use-after-move): that is the test
  EXPECT_EQ(pool->statistics().queued, 3U);
  one_more.run();
  EXPECT_EQ(run.load(), 1);

  blocker.release();
  EXPECT_EQ(pool->drain().executed, 4U);
  EXPECT_EQ(run.load(), 4);
}

TEST(ThreadPool, has_room_again_when_a_task_was_taken) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 1});
  for (int i = 0; i < 1000; ++i) {
    std::latch done(1);
    // Taken means started: a queue of one has room as soon as its task runs.
    while (pool->try_add([&done] { done.count_down(); }) != AddResult::added) {
      std::this_thread::yield();
    }
    done.wait();
  }
  EXPECT_EQ(pool->drain().executed, 1000U);
}

TEST(ThreadPool, stop_discards_what_waits_and_finishes_what_runs) {
  const auto pool = ThreadPool::create({.workers = 2, .capacity_tasks = 100});
  Blocker first(*pool);
  Blocker second(*pool);
  std::atomic<int> run{0};
  std::atomic<int> discarded{0};
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(pool->try_add(Tracked(run, discarded)), AddResult::added);
  }
  pool->discard_queued();
  EXPECT_EQ(discarded.load(), 100);
  first.release();
  second.release();
  const ThreadPoolStatistics statistics = pool->stop();
  EXPECT_EQ(statistics.executed, 2U);
  EXPECT_EQ(statistics.discarded, 100U);
  EXPECT_EQ(statistics.queued, 0U);
  EXPECT_EQ(run.load(), 0);
  EXPECT_EQ(discarded.load(), 100);
}

TEST(ThreadPool, a_worker_that_comes_free_during_a_stop_discards_too) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 2});
  Blocker blocker(*pool);
  std::atomic<int> run{0};
  std::atomic<int> discarded{0};
  // The first is discarded by the stopping thread, which it keeps until the worker has had the
  // other.
  struct LetsTheWorkerGo {
    void operator()() {}
    void discard() noexcept {
      blocker->release();
      while (run->load() + discarded->load() == 0) std::this_thread::yield();
    }
    Blocker* blocker;
    std::atomic<int>* run;
    std::atomic<int>* discarded;
  };
  ASSERT_EQ(pool->try_add(LetsTheWorkerGo{&blocker, &run, &discarded}), AddResult::added);
  ASSERT_EQ(pool->try_add(Tracked(run, discarded)), AddResult::added);
  EXPECT_EQ(pool->stop().discarded, 2U);
  EXPECT_EQ(run.load(), 0);
  EXPECT_EQ(discarded.load(), 1);
}

TEST(ThreadPool, destruction_discards_what_waits) {
  std::atomic<int> run{0};
  std::atomic<int> discarded{0};
  auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 10});
  Blocker blocker(*pool);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(pool->try_add(Tracked(run, discarded)), AddResult::added);
  }
  std::thread destroyer([&pool] { pool.reset(); });
  while (discarded.load() < 10) std::this_thread::yield();
  blocker.release();
  destroyer.join();
  EXPECT_EQ(run.load(), 0);
  EXPECT_EQ(discarded.load(), 10);
}

TEST(ThreadPool, says_closed_after_drain_and_after_stop) {
  const auto drained = ThreadPool::create({.workers = 1});
  drained->drain();
  EXPECT_EQ(drained->try_add([] {}), AddResult::stopped);
  const auto stopped = ThreadPool::create({.workers = 1});
  stopped->stop();
  EXPECT_EQ(stopped->try_add([] {}), AddResult::stopped);
}

TEST(ThreadPool, drains_and_stops_more_than_once) {
  const auto pool = ThreadPool::create({.workers = 2});
  ASSERT_EQ(pool->try_add([] {}), AddResult::added);
  EXPECT_EQ(pool->drain().executed, 1U);
  EXPECT_EQ(pool->drain().executed, 1U);
  EXPECT_EQ(pool->stop().executed, 1U);
}

TEST(ThreadPool, two_threads_may_drain_and_stop_at_the_same_time) {
  for (int round = 0; round < 50; ++round) {
    const auto pool = ThreadPool::create({.workers = 2, .capacity_tasks = 100});
    std::atomic<int> run{0};
    std::atomic<int> discarded{0};
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(pool->try_add(Tracked(run, discarded)), AddResult::added);
    }
    std::thread drainer([&pool] { EXPECT_EQ(pool->drain().queued, 0U); });
    const ThreadPoolStatistics statistics = pool->stop();
    drainer.join();
    EXPECT_EQ(statistics.executed + statistics.discarded, 100U);
    EXPECT_EQ(run.load() + discarded.load(), 100);
  }
}

TEST(ThreadPool, takes_tasks_from_its_own_tasks) {
  const auto pool = ThreadPool::create({.workers = 2, .capacity_tasks = 8});
  std::latch done(1);
  ASSERT_EQ(pool->try_add([&] {
    EXPECT_EQ(pool->try_add([&done] { done.count_down(); }), AddResult::added);
  }),
            AddResult::added);
  done.wait();
  EXPECT_EQ(pool->drain().executed, 2U);
}

TEST(ThreadPool, an_exception_reaches_the_handler_and_the_worker_goes_on) {
  std::atomic<int> caught{0};
  const auto pool = ThreadPool::create(
      {.workers = 1, .on_exception = [&caught](const std::exception_ptr& exception) {
         try {
           std::rethrow_exception(exception);
         } catch (const std::runtime_error& error) {
           if (std::string(error.what()) == "no luck") caught.fetch_add(1);
         }
       }});
  std::atomic<bool> went_on{false};
  ASSERT_EQ(pool->try_add([] { throw std::runtime_error("no luck"); }), AddResult::added);
  ASSERT_EQ(pool->try_add([&went_on] { went_on.store(true); }), AddResult::added);
  EXPECT_EQ(pool->drain().executed, 2U);
  EXPECT_EQ(caught.load(), 1);
  EXPECT_TRUE(went_on.load());
}

TEST(ThreadPool, an_exception_without_a_handler_is_a_line_on_standard_error) {
  const auto pool = ThreadPool::create({.workers = 1});
  testing::internal::CaptureStderr();
  ASSERT_EQ(pool->try_add([] { throw std::runtime_error("no luck"); }), AddResult::added);
  ASSERT_EQ(pool->try_add([] { throw 7; }), AddResult::added);
  EXPECT_EQ(pool->drain().executed, 2U);
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_NE(lines.find("a task threw: no luck\n"), std::string::npos) << lines;
  EXPECT_NE(lines.find("no std::exception\n"), std::string::npos) << lines;
}

TEST(ThreadPoolDeathTest, a_task_that_ends_its_thread_aborts_the_process_with_a_line) {
  // In a new process: the others of a forked one's threads would be missing.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto end_thread = [] { pthread_exit(nullptr); };
  constexpr const char* kLine = "evpool: a task must not end its thread";
  EXPECT_DEATH(
      {
        const auto pool = ThreadPool::create({.workers = 1});
        static_cast<void>(pool->try_add(end_thread));
        pool->drain();
      },
      kLine);
  EXPECT_DEATH(
      {
        const auto pool = ThreadPool::create({.workers = 1});
        submit(*pool, end_thread).future.get();
      },
      kLine);
  EXPECT_DEATH(
      {
        const auto pool = ThreadPool::create({.workers = 1});
        TaskGroup group(*pool);
        group.add(end_thread);
        group.wait();
      },
      kLine);
}

TEST(ThreadPoolDeathTest, adding_an_empty_task_is_a_failed_assertion_of_the_caller) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr const char* kLine = "an empty task cannot be added";
  EXPECT_DEATH(static_cast<void>(ThreadPool::create({.workers = 1})->try_add(Task())), kLine);
  EXPECT_DEATH(
      {
        std::vector<Task> tasks(2);
        static_cast<void>(ThreadPool::create({.workers = 1})->try_add_bulk(tasks));
      },
      kLine);
  EXPECT_DEATH(
      {
        const auto pool = ThreadPool::create({.workers = 1});
        TaskGroup(*pool).add(Task());
      },
      kLine);
}

TEST(ThreadPool, workers_block_asynchronous_signals_and_have_the_name_asked_for) {
  const auto pool = ThreadPool::create({.workers = 1, .thread_name = "a name that is too long"});
  std::atomic<bool> blocked{false};
  std::atomic<bool> faults_blocked{true};
  std::string name;
  ASSERT_EQ(pool->try_add([&] {
    sigset_t signals;
    pthread_sigmask(SIG_SETMASK, nullptr, &signals);
    blocked.store(sigismember(&signals, SIGTERM) == 1 && sigismember(&signals, SIGPIPE) == 1);
    faults_blocked.store(sigismember(&signals, SIGSEGV) == 1 || sigismember(&signals, SIGSYS) == 1);
    char buffer[16] = {};
    pthread_getname_np(pthread_self(), buffer, sizeof(buffer));
    name = buffer;
  }),
            AddResult::added);
  pool->drain();
  EXPECT_TRUE(blocked.load());
  EXPECT_FALSE(faults_blocked.load());
  EXPECT_EQ(name, "a name that is ");
}

TEST(ThreadPool, creation_leaves_the_creators_signal_mask_as_it_was) {
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  const auto pool = ThreadPool::create({.workers = 2});
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < 32; ++signal) {
    EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal)) << signal;
  }
}

TEST(ThreadPool, options_out_of_range_are_refused_by_name) {
  EXPECT_THROW(
      static_cast<void>(ThreadPool::create({.workers = ThreadPoolOptions::kMaxWorkers + 1})),
      std::invalid_argument);
  EXPECT_THROW(static_cast<void>(ThreadPool::create({.capacity_tasks = 0})), std::invalid_argument);
  try {
    static_cast<void>(
        ThreadPool::create({.capacity_tasks = ThreadPoolOptions::kMaxCapacityTasks + 1}));
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(
        error.what(),
        "cannot create a pool with a capacity of 16777217 tasks: it must be 1 to 16777216");
  }
}

TEST(ThreadPool, creation_that_fails_at_any_thread_leaves_nothing_and_names_the_thread) {
  constexpr int kWorkers = 8;
  const std::size_t threads_before = count_threads();
  for (int failing = 0; failing < kWorkers; ++failing) {
    pthread_create_calls_until_failure.store(failing);
    try {
      static_cast<void>(ThreadPool::create({.workers = kWorkers}));
      FAIL() << failing;
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code().value(), EAGAIN);
      EXPECT_NE(std::string(error.what())
                    .find("cannot start worker " + std::to_string(failing + 1) + " of 8"),
                std::string::npos)
          << error.what();
    }
    EXPECT_TRUE(threads_become(threads_before));
  }
  // LeakSanitizer sees to the memory. And after all that, the next one works.
  const auto pool = ThreadPool::create({.workers = kWorkers});
  EXPECT_TRUE(threads_become(threads_before + kWorkers));
}

TEST(ThreadPool, creation_that_fails_at_any_allocation_leaves_nothing) {
  const std::size_t threads_before = count_threads();
  int failures = 0;
  for (bool created = false; !created; ++failures) {
    allocations_until_failure = failures;
    try {
      const auto pool = ThreadPool::create({.workers = 2, .capacity_tasks = 16});
      allocations_until_failure = -1;
      created = true;
    } catch (const std::bad_alloc&) {
      EXPECT_TRUE(threads_become(threads_before));
    }
    ASSERT_LT(failures, 1000);
  }
  EXPECT_GT(failures, 5) << "the slab, both queues, the workers, the pool";
}

TEST(ThreadPool, adding_and_running_allocate_nothing) {
  for (const std::size_t workers : {1U, 3U}) {
    const auto pool = ThreadPool::create({.workers = workers, .capacity_tasks = 64});
    std::atomic<std::uint64_t> run{0};
    std::uint64_t added = 0;
    const auto task = [&run] { run.fetch_add(1); };
    const auto add_all_ways = [&] {
      for (int i = 0; i < 2000; ++i) {
        const auto priority = static_cast<TaskPriority>(i % 3);
        if (pool->try_add(task, priority) == AddResult::added) ++added;
        if (pool->add_until(ThreadPool::Clock::time_point::max(), task) == AddResult::added) {
          ++added;
        }
        std::array<Task, 40> tasks;
        for (Task& one : tasks) one = task;
        added += pool->try_add_bulk(tasks).tasks;
        // And from a task, into its worker's lane.
        if (pool->try_add([&run, &pool, task] {
              run.fetch_add(1);
              if (pool->try_add(task) != AddResult::added) run.fetch_add(1);
            }) == AddResult::added) {
          added += 2;
        }
      }
      while (run.load() < added) std::this_thread::yield();
    };
    const std::uint64_t before = allocations_made.load();
    add_all_ways();
    EXPECT_EQ(allocations_made.load(), before) << workers << " workers";
  }
}

TEST(ThreadPool, submitting_allocates_nothing_in_the_long_run) {
  const auto pool = ThreadPool::create({.workers = 2});
  const auto submit_many = [&pool] {
    for (int i = 0; i < 1000; ++i) {
      auto first = submit(*pool, [i] { return i; });
      auto second = submit(*pool, [i] { return std::make_unique<int>(i); });
      first.future.get();
      second.future.get();
    }
  };
  submit_many();
  const std::uint64_t before = allocations_made.load();
  submit_many();
  // The tasks' own, one each of the second kind; a block is now and then let go of a moment late.
  EXPECT_LE(allocations_made.load() - before, 1000U + 10U);
}

TEST(ThreadPool, every_task_of_many_producers_is_run_or_discarded_or_refused_once) {
  constexpr int kProducers = 4;
  constexpr int kRounds = 30;
  for (int round = 0; round < kRounds; ++round) {
    auto pool = ThreadPool::create({.workers = 3, .capacity_tasks = 16});
    std::atomic<int> run{0};
    std::atomic<int> discarded{0};
    std::atomic<int> added{0};
    std::atomic<int> busy_until_stop{0};
    std::latch start(kProducers + 1);
    std::vector<std::thread> producers;
    for (int i = 0; i < kProducers; ++i) {
      producers.emplace_back([&] {
        start.arrive_and_wait();
        for (;;) {
          const AddResult result = pool->try_add(Tracked(run, discarded));
          if (result == AddResult::stopped) return;
          if (result == AddResult::added) added.fetch_add(1);
          if (result == AddResult::full) busy_until_stop.fetch_add(1);
        }
      });
    }
    start.arrive_and_wait();
    while (run.load() < 200) std::this_thread::yield();
    const ThreadPoolStatistics statistics = round % 2 == 0 ? pool->stop() : pool->drain();
    for (std::thread& producer : producers) producer.join();
    EXPECT_EQ(run.load() + discarded.load(), added.load());
    EXPECT_EQ(statistics.executed, static_cast<std::uint64_t>(run.load()));
    EXPECT_EQ(statistics.discarded, static_cast<std::uint64_t>(discarded.load()));
    if (round % 2 == 1) {
      EXPECT_EQ(discarded.load(), 0);
    }
  }
}

// Each round parks every worker and must wake one: a lost wake-up hangs it.
TEST(ThreadPool, no_wake_up_is_lost_in_many_rounds_of_parking) {
  const auto pool = ThreadPool::create({.workers = 2, .capacity_tasks = 4});
  std::atomic<int> run{0};
  constexpr int kRounds = 50'000;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (int round = 1; round <= kRounds; ++round) {
    ASSERT_EQ(pool->try_add([&run] { run.fetch_add(1); }), AddResult::added);
    while (run.load() < round) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "a wake-up was lost";
    }
  }
}

TEST(ThreadPool, an_idle_pool_uses_no_cpu) {
  const auto pool = ThreadPool::create({.workers = 4});
  std::latch done(1);
  ASSERT_EQ(pool->try_add([&done] { done.count_down(); }), AddResult::added);
  done.wait();
  const auto switches = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw + usage.ru_nivcsw;
  };
  // Let all workers park: their switches stop growing.
  long before = switches();
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const long now = switches();
    if (now - before <= 2) break;  // the sleeper's own
    before = now;
  }
  timespec cpu_before{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_before);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  timespec cpu_after{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_after);
  const double used_ms = static_cast<double>(cpu_after.tv_sec - cpu_before.tv_sec) * 1e3 +
                         static_cast<double>(cpu_after.tv_nsec - cpu_before.tv_nsec) / 1e6;
  EXPECT_LT(used_ms, 20) << "of 200 ms, four workers spinning would use hundreds";
}

}  // namespace
}  // namespace evpool
