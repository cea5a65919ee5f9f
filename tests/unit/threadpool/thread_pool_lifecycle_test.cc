// The ends of a pool's life, and what happens between threads, processes and pools meanwhile.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/becomes_true.h"
#include "tests/failing_pthread_create.h"
#include "tests/unit/threadpool/blocker.h"
#include "tests/unit/threadpool/failing_memory.h"
#include "tests/unit/threadpool/in_child.h"
#include "threadpool/thread_pool.h"

namespace evpool {
namespace {

using Clock = ThreadPool::Clock;

TEST(ThreadPoolEnd, adding_says_draining_or_stopped) {
  const auto pool = ThreadPool::create({.workers = 1});
  Gate gate;
  ASSERT_EQ(pool->try_add([&gate] { gate.wait(); }), AddResult::added);
  gate.entered.wait();
  EXPECT_FALSE(pool->drain_until(Clock::now()));
  EXPECT_EQ(pool->try_add([] {}), AddResult::draining);
  pool->discard_queued();
  EXPECT_EQ(pool->try_add([] {}), AddResult::stopped);
  EXPECT_EQ(pool->add_until(Clock::now() + std::chrono::seconds(60), [] {}), AddResult::stopped);
  gate.open.count_down();
  EXPECT_EQ(pool->stop().executed, 1U);
  EXPECT_EQ(pool->statistics().refused, 3U);
}

TEST(ThreadPoolEnd, a_drain_past_its_deadline_goes_on_and_can_be_finished) {
  const auto pool = ThreadPool::create({.workers = 1});
  Gate gate;
  std::atomic<int> run{0};
  ASSERT_EQ(pool->try_add([&gate] { gate.wait(); }), AddResult::added);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(pool->try_add([&run] { run.fetch_add(1); }), AddResult::added);
  }
  gate.entered.wait();
  EXPECT_FALSE(pool->drain_until(Clock::now() + std::chrono::milliseconds(1)));
  EXPECT_EQ(run.load(), 0);
  gate.open.count_down();
  EXPECT_TRUE(pool->drain_until(Clock::now() + std::chrono::seconds(60)));
  EXPECT_EQ(run.load(), 10);
  EXPECT_EQ(pool->drain().executed, 11U);
}

// Stays in its discard hook until let on.
struct SlowToDiscard {
  Gate* gate;
  void operator()() const {}
  void discard() const noexcept { gate->wait(); }
};

TEST(ThreadPoolEnd, a_second_end_waits_for_the_discard_hooks_of_the_first) {
  std::latch worker_ended(1);
  const auto pool = ThreadPool::create(
      {.workers = 1, .on_worker_exit = [&](std::size_t) { worker_ended.count_down(); }});
  Blocker blocker(*pool);
  Gate hook;
  ASSERT_EQ(pool->try_add(SlowToDiscard{&hook}), AddResult::added);
  std::thread first([&pool] { EXPECT_EQ(pool->stop().discarded, 1U); });
  hook.entered.wait();
  blocker.release();
  worker_ended.wait();
  EXPECT_FALSE(pool->drain_until(Clock::now() + std::chrono::milliseconds(100)));
  hook.open.count_down();
  EXPECT_EQ(pool->stop().discarded, 1U) << "not final";
  first.join();
}

TEST(ThreadPoolEnd, totals_are_final_for_each_of_two_that_stop_at_once) {
  for (int round = 0; round < 500; ++round) {
    static constexpr std::uint64_t kTasks = 60;
    struct YieldsInHook {
      void operator()() const {}
      void discard() const noexcept { sched_yield(); }
    };
    const auto pool = ThreadPool::create({.workers = 2});
    for (std::uint64_t i = 0; i < kTasks; ++i) {
      ASSERT_EQ(pool->try_add(YieldsInHook{}), AddResult::added);
    }
    const auto stop = [&pool] {
      const ThreadPoolStatistics totals = pool->stop();
      EXPECT_EQ(totals.executed + totals.discarded, kTasks);
    };
    std::thread other(stop);
    stop();
    other.join();
  }
}

TEST(ThreadPoolEnd, a_discard_hook_may_stop_the_pool_once_more) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  struct StopsInHook {
    ThreadPool* pool;
    Blocker* blocker;
    void operator()() const {}
    void discard() const noexcept {
      blocker->release();
      pool->stop();
    }
  };
  ASSERT_EQ(pool->try_add(StopsInHook{pool.get(), &blocker}), AddResult::added);
  EXPECT_EQ(pool->stop().discarded, 1U);
}

TEST(ThreadPoolEnd, a_worker_may_not_wait_for_its_own_pool) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 1});
  const auto refused = [](auto&& call) {
    try {
      call();
    } catch (const std::system_error& error) {
      return error.code() == std::errc::resource_deadlock_would_occur;
    }
    return false;
  };
  std::atomic<int> refusals{0};
  std::atomic<AddResult> added{AddResult::added};
  std::latch done(1);
  ASSERT_EQ(pool->try_add([&] {
    refusals += refused([&] { pool->drain(); }) ? 1 : 0;
    refusals += refused([&] { pool->stop(); }) ? 1 : 0;
    refusals += refused([&] { static_cast<void>(pool->drain_until(Clock::now())); }) ? 1 : 0;
    EXPECT_EQ(pool->try_add([] {}), AddResult::added);
    added.store(pool->add_until(Clock::time_point::max(), [] {}));
    done.count_down();
  }),
            AddResult::added);
  done.wait();
  EXPECT_EQ(pool->drain().executed, 2U);
  EXPECT_EQ(refusals.load(), 3);
  EXPECT_EQ(added.load(), AddResult::own_worker);
}

TEST(ThreadPoolEnd, another_pools_worker_may_wait) {
  const auto outer = ThreadPool::create({.workers = 1});
  std::atomic<std::uint64_t> executed{0};
  ASSERT_EQ(outer->try_add([&executed] {
    const auto inner = ThreadPool::create({.workers = 2});
    EXPECT_EQ(inner->try_add([] {}), AddResult::added);
    executed.store(inner->drain().executed);
  }),
            AddResult::added);
  outer->drain();
  EXPECT_EQ(executed.load(), 1U);
}

TEST(ThreadPoolEnd, a_task_may_destroy_its_own_pool) {
  const std::size_t threads_before = count_threads();
  const int maps_before = maps_held.load();
  for (int round = 0; round < 30; ++round) {
    std::atomic<int> discarded{0};
    std::atomic<bool> survived{false};
    std::atomic<int> exits{0};
    struct CountsDiscard {
      std::atomic<int>* discarded;
      void operator()() const {}
      void discard() const noexcept { discarded->fetch_add(1); }
    };
    std::unique_ptr<ThreadPool> pool = ThreadPool::create(
        {.workers = 3, .on_worker_exit = [&exits](std::size_t) { exits.fetch_add(1); }});
    Gate gate;
    ASSERT_EQ(pool->try_add([&] {
      gate.wait();
      pool.reset();
      survived.store(true);
    }),
              AddResult::added);
    gate.entered.wait();
    // Keeps the other workers from the tasks that are to be discarded.
    std::latch others_busy(2);
    std::latch others_go(1);
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(pool->try_add([&] {
        others_busy.count_down();
        others_go.wait();
      }),
                AddResult::added);
    }
    others_busy.wait();
    for (int i = 0; i < 5; ++i) {
      ASSERT_EQ(pool->try_add(CountsDiscard{&discarded}), AddResult::added);
    }
    gate.open.count_down();
    EXPECT_TRUE(becomes_true([&] { return discarded.load() == 5; }));
    others_go.count_down();
    EXPECT_TRUE(becomes_true([&] { return exits.load() == 3; }));
    EXPECT_TRUE(survived.load());
  }
  EXPECT_TRUE(threads_become(threads_before));
  EXPECT_TRUE(becomes_true([&] { return maps_held.load() == maps_before; }));
}

TEST(ThreadPoolEnd, many_threads_may_add_while_another_stops_and_the_last_share_destroys) {
  for (int round = 0; round < 50; ++round) {
    std::shared_ptr<ThreadPool> pool = ThreadPool::create({.workers = 2, .capacity_tasks = 8});
    std::atomic<int> ended{0};
    std::atomic<int> added{0};
    struct Counts {
      std::atomic<int>* ended;
      void operator()() const { ended->fetch_add(1); }
      void discard() const noexcept { ended->fetch_add(1); }
    };
    std::vector<std::thread> adders;
    for (int i = 0; i < 4; ++i) {
      adders.emplace_back([&ended, &added, share = pool] {
        for (;;) {
          const AddResult result = share->try_add(Counts{&ended});
          if (result == AddResult::added) added.fetch_add(1);
          if (result == AddResult::stopped) return;
        }
      });
    }
    while (added.load() < 50) std::this_thread::yield();
    pool->stop();
    pool.reset();
    for (std::thread& adder : adders) adder.join();
    EXPECT_EQ(ended.load(), added.load());
  }
}

TEST(ThreadPoolEnd, two_pools_live_side_by_side) {
  const auto first = ThreadPool::create({.workers = 2});
  const auto second = ThreadPool::create({.workers = 2});
  std::atomic<int> run{0};
  std::latch done(100);
  for (int i = 0; i < 50; ++i) {
    for (ThreadPool* const pool : {first.get(), second.get()}) {
      ThreadPool* const other = pool == first.get() ? second.get() : first.get();
      ASSERT_EQ(pool->try_add([&run, &done, pool, other] {
        EXPECT_TRUE(pool->is_own_worker());
        EXPECT_FALSE(other->is_own_worker());
        // From the one's worker into the other.
        EXPECT_EQ(other->try_add([&run] { run.fetch_add(1); }), AddResult::added);
        done.count_down();
      }),
                AddResult::added);
    }
  }
  done.wait();
  EXPECT_EQ(first->drain().executed + second->drain().executed, 200U);
  EXPECT_EQ(run.load(), 100);
}

TEST(ThreadPoolFork, the_childs_pool_refuses_and_ends_without_touching_the_parents_tasks) {
  auto pool = ThreadPool::create({.workers = 2});
  Gate first;
  Gate second;
  ASSERT_EQ(pool->try_add([&first] { first.wait(); }), AddResult::added);
  ASSERT_EQ(pool->try_add([&second] { second.wait(); }), AddResult::added);
  first.entered.wait();
  second.entered.wait();
  std::atomic<int> run{0};
  std::atomic<int> discarded{0};
  struct Tells {
    std::atomic<int>* run;
    std::atomic<int>* discarded;
    void operator()() const { run->fetch_add(1); }
    void discard() const noexcept { discarded->fetch_add(1); }
  };
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(pool->try_add(Tells{&run, &discarded}), AddResult::added);
  }
  const int status = in_child([&] {
    if (pool->try_add([] {}) != AddResult::stopped) return 1;
    if (pool->add_until(Clock::time_point::max(), [] {}) != AddResult::stopped) return 2;
    if (pool->drain().executed != 0 || pool->statistics().queued != 0) return 3;
    if (!pool->drain_until(Clock::time_point::max())) return 4;
    pool->stop();
    pool.reset();
    return run.load() + discarded.load() == 0 ? 0 : 5;
  });
  EXPECT_EQ(status, 0);
  first.open.count_down();
  second.open.count_down();
  EXPECT_EQ(pool->drain().executed, 12U);
  EXPECT_EQ(run.load(), 10);
}

// Where a thread of the child ends, so does the child: nothing that the parent keeps is torn down.
struct EndsChild {
  bool armed = false;
  ~EndsChild() {
    if (armed) _exit(0);
  }
};
thread_local EndsChild at_thread_end;

TEST(ThreadPoolFork, a_child_forked_in_a_task_ends_after_it_and_runs_nothing_else) {
  const pid_t parent = getpid();
  const auto end_if_child = [parent](int status) {
    if (getpid() != parent) _exit(status);
  };
  for (const std::size_t workers : {1U, 2U}) {
    const auto pool = ThreadPool::create(
        {.workers = workers, .on_worker_exit = [&end_if_child](std::size_t) { end_if_child(1); }});
    Blocker first(*pool);
    std::unique_ptr<Blocker> second = workers == 2 ? std::make_unique<Blocker>(*pool) : nullptr;
    std::atomic<pid_t> child{-1};
    ASSERT_EQ(pool->try_add([&child] {
      const pid_t forked = fork();
      if (forked != 0) {
        child.store(forked);
        return;
      }
      at_thread_end.armed = true;
      // A child that hangs is killed, which a worker's signal mask would prevent.
      sigset_t alarm_only;
      sigemptyset(&alarm_only);
      sigaddset(&alarm_only, SIGALRM);
      pthread_sigmask(SIG_UNBLOCK, &alarm_only, nullptr);
      alarm(10);
    }),
              AddResult::added);
    // Some of them in the forking worker's batch, which the kernel does not wipe.
    for (int i = 0; i < 40; ++i) {
      ASSERT_EQ(pool->try_add([&end_if_child] { end_if_child(2); }), AddResult::added);
    }
    first.release();
    EXPECT_TRUE(becomes_true([&child] { return child.load() != -1; }));
    int status = 0;
    EXPECT_EQ(waitpid(child.load(), &status, 0), child.load());
    EXPECT_TRUE(WIFEXITED(status)) << "it hung";
    EXPECT_EQ(WEXITSTATUS(status), 0);
    if (second != nullptr) second->release();
    EXPECT_EQ(pool->drain().executed, 41U + workers);
  }
}

}  // namespace
}  // namespace evpool
