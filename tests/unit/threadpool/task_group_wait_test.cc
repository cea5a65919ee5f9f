// Waits of a task group that could have no end: asleep, in a task of its own, in a child of fork.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <fstream>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <system_error>
#include <thread>

#include "tests/becomes_true.h"
#include "tests/unit/threadpool/blocker.h"
#include "tests/unit/threadpool/in_child.h"
#include "tests/unit/threadpool/returned_early.h"
#include "threadpool/task_group.h"
#include "threadpool/thread_pool.h"

namespace evpool {
namespace {

bool is_asleep(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string number;
  std::string name;
  std::string state;
  file >> number >> name >> state;
  return state == "S";
}

bool refuses_as_deadlock(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::system_error& error) {
    return error.code() == std::errc::resource_deadlock_would_occur;
  }
  return false;
}
bool refuses(TaskGroup& group) {
  return refuses_as_deadlock([&group] { group.wait(); });
}

// --- In an own task ---------------------------------------------------------------------------

// On a worker, and on the thread that waits, also with another group's task between.
TEST(TaskGroup, a_wait_in_one_of_its_own_tasks_is_refused_and_not_a_deadlock) {
  const auto pool = ThreadPool::create({.workers = 1});
  std::atomic<int> refused{0};
  std::latch on_worker(1);
  TaskGroup group(*pool);
  group.add([&] {
    refused += refuses(group) ? 1 : 0;
    on_worker.count_down();
  });
  on_worker.wait();
  group.wait();
  EXPECT_EQ(refused.load(), 1);

  Blocker blocker(*pool);
  bool other_ran = false;
  group.add([&] { other_ran = true; });
  group.add([&] {
    TaskGroup inner(*pool);
    inner.add([&] { refused += refuses(group) ? 1 : 0; });
    inner.wait();
  });
  group.wait();
  EXPECT_EQ(refused.load(), 2);
  EXPECT_TRUE(other_ran);
  blocker.release();
}

TEST(TaskGroupDeathTest, a_group_destroyed_by_its_own_task_is_a_failed_assertion) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const auto pool = ThreadPool::create({.workers = 1});
        pool->stop();  // so that wait() runs the task
        auto group = std::make_unique<TaskGroup>(*pool);
        group->add([&group] { group.reset(); });
        group->wait();
      },
      "a task must not destroy its own group");
}

// --- What a sleeping wait has to learn of -----------------------------------------------------

// The task adds another when wait sleeps already; `refuse_tickets` makes the pool refuse to run it.
void expect_wait_runs_what_is_added_while_it_sleeps(
    const std::function<void(ThreadPool&)>& refuse_tickets) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 1});
  TaskGroup group(*pool);
  std::latch running(1);
  std::atomic<pid_t> waits{0};
  std::atomic<int> run{0};
  group.add([&] {
    running.count_down();
    EXPECT_TRUE(becomes_true([&waits] { return waits.load() != 0 && is_asleep(waits.load()); }));
    refuse_tickets(*pool);
    group.add([&run] { run.fetch_add(1); });
  });
  running.wait();
  std::atomic<bool> returned{false};
  std::thread waiter([&] {
    waits.store(gettid());
    group.wait();
    returned.store(true);
  });
  EXPECT_TRUE(becomes_true([&returned] { return returned.load(); })) << "nobody runs the task";
  EXPECT_EQ(run.load(), 1);
  // Should it hang: this wakes the other.
  if (!returned.load()) group.wait();
  waiter.join();
}

TEST(TaskGroup, a_sleeping_wait_runs_what_a_task_adds_while_the_pool_is_full) {
  expect_wait_runs_what_is_added_while_it_sleeps(
      [](ThreadPool& pool) { EXPECT_EQ(pool.try_add([] {}), AddResult::added); });
}

TEST(TaskGroup, a_sleeping_wait_runs_what_a_task_adds_while_the_pool_drains) {
  expect_wait_runs_what_is_added_while_it_sleeps([](ThreadPool& pool) { pool.discard_queued(); });
}

TEST(TaskGroup, a_sleeping_wait_runs_what_a_task_adds_while_the_other_worker_is_busy) {
  const auto pool = ThreadPool::create({.workers = 2});
  TaskGroup group(*pool);
  std::latch running(1);
  std::atomic<pid_t> waits{0};
  std::atomic<bool> added_ran{false};
  std::atomic<bool> in_time{false};
  group.add([&] {
    running.count_down();
    EXPECT_TRUE(becomes_true([&waits] { return waits.load() != 0 && is_asleep(waits.load()); }));
    group.add([&added_ran] { added_ran.store(true); });
    in_time.store(becomes_true([&added_ran] { return added_ran.load(); }));
  });
  running.wait();
  Blocker blocker(*pool);
  waits.store(gettid());
  group.wait();
  EXPECT_TRUE(in_time.load());
  blocker.release();
}

TEST(TaskGroup, wait_also_waits_for_what_another_threads_add_runs) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  std::latch running(1);
  std::atomic<bool> returned{false};
  bool early = true;
  TaskGroup group(*pool);
  std::thread adder([&] {
    for (std::size_t i = 0; i < TaskGroup::kWaitingTasks; ++i) group.add([] {});
    group.add([&] {
      running.count_down();
      early = returned_early(returned);
    });
  });
  running.wait();
  group.wait();
  returned.store(true);
  adder.join();
  EXPECT_FALSE(early);
  blocker.release();
}

// --- After fork -------------------------------------------------------------------------------

TEST(TaskGroup, a_child_of_fork_neither_waits_for_nor_runs_its_parents_tasks) {
  const auto pool = ThreadPool::create({.workers = 1});
  const pid_t parent = getpid();
  std::latch running(1);
  std::latch release(1);
  std::atomic<int> run{0};
  auto group = std::make_unique<TaskGroup>(*pool);
  group->add([&] {
    running.count_down();
    release.wait();
  });
  running.wait();
  group->add([&] {
    if (getpid() != parent) _exit(1);
    run.fetch_add(1);
  });
  const int status = in_child([&] {
    if (!refuses(*group)) return 2;
    if (!refuses_as_deadlock([&group] { group->add([] {}); })) return 3;
    group.reset();
    // One that it makes itself is run by its own wait, as with any stopped pool.
    int own_run = 0;
    TaskGroup own(*pool);
    own.add([&own_run] { ++own_run; });
    own.wait();
    return own_run == 1 ? 0 : 4;
  });
  EXPECT_EQ(status, 0);
  release.count_down();
  group->wait();
  EXPECT_EQ(run.load(), 1);
}

TEST(TaskGroup, a_wait_whose_task_forks_is_refused_in_the_child) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  const pid_t parent = getpid();
  pid_t child = -1;
  TaskGroup group(*pool);
  group.add([parent] {
    if (getpid() != parent) _exit(1);
  });
  group.add([&child] {
    child = fork();
    if (child == 0) alarm(60);
  });
  const bool refused = refuses(group);
  if (child == 0) _exit(refused ? 0 : 2);
  EXPECT_FALSE(refused);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  blocker.release();
}

}  // namespace
}  // namespace evpool
