// Creation: what it gives, and that it leaves nothing behind when it fails at any of its steps.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <fstream>
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
#include "threadpool/usable_cpus.h"

namespace evpool {
namespace {

using Clock = ThreadPool::Clock;

// What create threw, and its errno.
struct Refusal {
  std::string what;
  int error = 0;
};
Refusal refusal_of(const ThreadPoolOptions& options) {
  try {
    static_cast<void>(ThreadPool::create(options));
  } catch (const std::system_error& error) {
    return {error.what(), error.code().value()};
  } catch (const std::exception& error) {
    return {error.what(), 0};
  }
  return {"created", 0};
}

bool says(const Refusal& refusal, const std::string& part) {
  return refusal.what.find(part) != std::string::npos;
}

TEST(ThreadPoolCreation, that_gets_no_memory_leaves_nothing_and_says_so) {
  const std::size_t threads_before = count_threads();
  const int maps_before = maps_held.load();
  mmap_fails.store(true);
  const Refusal unmapped = refusal_of({.workers = 2});
  EXPECT_TRUE(says(unmapped, "cannot map")) << unmapped.what;
  EXPECT_EQ(unmapped.error, ENOMEM);
  madvise_fails.store(true);
  const Refusal unadvised = refusal_of({.workers = 2});
  EXPECT_TRUE(says(unadvised, "cannot keep")) << unadvised.what;
  EXPECT_EQ(unadvised.error, EINVAL);
  EXPECT_EQ(maps_held.load(), maps_before);
  EXPECT_TRUE(threads_become(threads_before));
}

TEST(ThreadPoolCreation, that_fails_at_any_start_hook_leaves_nothing_and_names_the_worker) {
  constexpr std::size_t kWorkers = 5;
  const std::size_t threads_before = count_threads();
  const int maps_before = maps_held.load();
  for (std::size_t failing = 0; failing < kWorkers; ++failing) {
    std::atomic<int> started{0};
    std::atomic<int> ended{0};
    const Refusal refusal =
        refusal_of({.workers = kWorkers,
                    .on_worker_start =
                        [&](std::size_t worker) {
                          if (worker == failing) throw std::runtime_error("no luck");
                          started.fetch_add(1);
                        },
                    .on_worker_exit = [&](std::size_t) { ended.fetch_add(1); }});
    EXPECT_TRUE(says(refusal, "worker " + std::to_string(failing + 1) + " of 5 threw: no luck"))
        << refusal.what;
    // Those that had started ended properly.
    EXPECT_EQ(started.load(), static_cast<int>(kWorkers) - 1);
    EXPECT_EQ(ended.load(), started.load());
    EXPECT_TRUE(threads_become(threads_before));
    EXPECT_EQ(maps_held.load(), maps_before);
  }
}

TEST(ThreadPoolCreation, that_fails_at_a_thread_unmaps_too) {
  const int maps_before = maps_held.load();
  pthread_create_calls_until_failure.store(2);
  EXPECT_TRUE(says(refusal_of({.workers = 4}), "worker 3 of 4"));
  EXPECT_EQ(maps_held.load(), maps_before);
}

TEST(ThreadPoolCreation, refuses_a_stack_or_a_cpu_that_cannot_be_and_leaves_nothing) {
  const std::size_t threads_before = count_threads();
  const Refusal stack = refusal_of({.stack_bytes = 1});
  EXPECT_TRUE(says(stack, "stack of 1 bytes: it must have at least ")) << stack.what;
  EXPECT_EQ(stack.error, EINVAL);
  const Refusal nonsense = refusal_of({.cpus = {-1}});
  EXPECT_TRUE(says(nonsense, "on CPU -1")) << nonsense.what;
  // One that a set of CPUs can name and no machine of ours has.
  const Refusal absent = refusal_of({.workers = 2, .cpus = {0, CPU_SETSIZE - 1}});
  EXPECT_TRUE(says(absent, "cannot start worker 2 of 2 on CPU 1023: it does not exist or is not"))
      << absent.what;
  EXPECT_TRUE(threads_become(threads_before));
}

TEST(ThreadPoolCreation, says_which_cpus_there_are_when_the_one_asked_for_is_none) {
  std::string online;
  std::getline(std::ifstream("/sys/devices/system/cpu/online") >> std::ws, online);
  for (const int cpu : {-1, CPU_SETSIZE - 1, CPU_SETSIZE}) {
    const Refusal refusal = refusal_of({.workers = 1, .cpus = {cpu}});
    EXPECT_TRUE(says(refusal, ("on CPU " + std::to_string(cpu)).c_str())) << refusal.what;
    EXPECT_TRUE(says(refusal, ("online are " + online + ", and this thread may run on ").c_str()))
        << refusal.what;
  }
  EXPECT_TRUE(says(refusal_of({.workers = 1, .cpus = {CPU_SETSIZE - 1}}),
                   "choose ThreadPoolOptions::cpus among them"));
}

TEST(ThreadPoolCreation, names_the_limits_to_look_at_when_a_thread_is_refused) {
  pthread_create_calls_until_failure.store(1);
  const Refusal refusal = refusal_of({.workers = 2});
  EXPECT_EQ(refusal.error, EAGAIN);
  EXPECT_TRUE(says(refusal, "cannot start worker 2 of 2: a limit on threads or on stack memory"))
      << refusal.what;
  for (const char* where : {"ulimit -u", "pids.max", "fewer workers"}) {
    EXPECT_TRUE(says(refusal, where)) << refusal.what;
  }
}

TEST(ThreadPoolCreation, leaves_nothing_when_the_system_has_no_thread_left_half_way) {
  const int status = in_child([] {
    // The limit does not bind root, so become somebody who has no other process.
    if (geteuid() == 0 && setresuid(54'321, 54'321, 54'321) != 0) return 10;
    const rlimit limit{.rlim_cur = 8, .rlim_max = 8};
    if (setrlimit(RLIMIT_NPROC, &limit) != 0) return 11;
    const std::size_t threads_before = count_threads();
    const Refusal refusal = refusal_of({.workers = 64});
    if (refusal.error != EAGAIN || !says(refusal, "cannot start worker ")) return 12;
    if (!says(refusal, "ulimit -u")) return 12;
    if (!threads_become(threads_before)) return 13;
    // What was given up can be had: two workers fit.
    const auto pool = ThreadPool::create({.workers = 2});
    return pool->drain().executed == 0 ? 0 : 14;
  });
  if (status == 10) GTEST_SKIP() << "a sandbox that knows no other user: the limit binds nobody";
  EXPECT_EQ(status, 0);
}

TEST(ThreadPoolOptions, hooks_run_once_on_each_worker_around_its_tasks) {
  constexpr std::size_t kWorkers = 3;
  std::vector<std::atomic<int>> started(kWorkers);
  std::vector<std::atomic<int>> ended(kWorkers);
  std::atomic<bool> task_saw_starts{false};
  {
    const auto pool = ThreadPool::create(
        {.workers = kWorkers,
         .on_worker_start = [&](std::size_t worker) { started[worker].fetch_add(1); },
         .on_worker_exit = [&](std::size_t worker) { ended[worker].fetch_add(1); }});
    ASSERT_EQ(
        pool->try_add([&] { task_saw_starts.store(started[0] + started[1] + started[2] == 3); }),
        AddResult::added);
    pool->drain();
  }
  EXPECT_TRUE(task_saw_starts.load());
  for (std::size_t worker = 0; worker < kWorkers; ++worker) {
    EXPECT_EQ(started[worker].load(), 1);
    EXPECT_EQ(ended[worker].load(), 1);
  }
}

TEST(ThreadPoolOptions, a_worker_has_the_stack_and_the_cpu_asked_for) {
  constexpr std::size_t kStackBytes = std::size_t{1} << 20U;
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
  int cpu = CPU_SETSIZE - 1;
  while (!CPU_ISSET(cpu, &allowed)) --cpu;
  const auto pool = ThreadPool::create({.workers = 1, .stack_bytes = kStackBytes, .cpus = {cpu}});
  std::atomic<std::size_t> stack_bytes{0};
  std::atomic<int> cpus{0};
  std::atomic<bool> on_cpu{false};
  ASSERT_EQ(pool->try_add([&] {
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    std::size_t bytes = 0;
    pthread_attr_getstacksize(&attributes, &bytes);
    pthread_attr_destroy(&attributes);
    stack_bytes.store(bytes);
    cpu_set_t own;
    sched_getaffinity(0, sizeof(own), &own);
    cpus.store(CPU_COUNT(&own));
    on_cpu.store(CPU_ISSET(cpu, &own));
  }),
            AddResult::added);
  pool->drain();
  EXPECT_EQ(stack_bytes.load(), kStackBytes);
  EXPECT_EQ(cpus.load(), 1);
  EXPECT_TRUE(on_cpu.load());
}

TEST(ThreadPoolOptions, has_a_worker_for_each_usable_cpu_by_default) {
  EXPECT_EQ(ThreadPool::create({})->workers(),
            std::min(usable_cpus(), ThreadPoolOptions::kMaxWorkers));
  EXPECT_EQ(ThreadPool::create({.workers = 3})->workers(), 3U);
  std::thread pinned([] {
    cpu_set_t cpus;
    ASSERT_EQ(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
    int last = CPU_SETSIZE - 1;
    while (!CPU_ISSET(last, &cpus)) --last;
    CPU_ZERO(&cpus);
    CPU_SET(last, &cpus);
    ASSERT_EQ(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
    EXPECT_EQ(usable_cpus(), 1U);
    EXPECT_EQ(ThreadPool::create({.workers = 0})->workers(), 1U);
    EXPECT_NE(describe_cpus().find("may run on " + std::to_string(last)), std::string::npos);
  });
  pinned.join();
}

}  // namespace
}  // namespace evpool
