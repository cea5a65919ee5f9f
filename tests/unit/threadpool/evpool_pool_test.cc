#include "threadpool/evpool_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <latch>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/failing_pthread_create.h"
#include "tests/unit/threadpool/c_pool.h"
#include "threadpool/usable_cpus.h"

// In evpool_pool_header_test.c, which is compiled as C99.
extern "C" int evpool_pool_header_is_c(void);

namespace evpool {
namespace {

timespec in_ms(long ms) {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  time.tv_nsec += ms % 1000 * 1'000'000;
  time.tv_sec += ms / 1000 + time.tv_nsec / 1'000'000'000;
  time.tv_nsec %= 1'000'000'000;
  return time;
}
timespec in_good_time() { return in_ms(60'000); }
bool has_passed(const timespec& deadline) {
  const timespec now = in_ms(0);
  return now.tv_sec > deadline.tv_sec ||
         (now.tv_sec == deadline.tv_sec && now.tv_nsec >= deadline.tv_nsec);
}
constexpr timespec kPast = {.tv_sec = 0, .tv_nsec = 1};

int add_until(const Pool& pool, Calls& calls, const timespec& deadline) {
  return evpool_pool_add_until(pool.get(), count_run, count_discarded, &calls, EVPOOL_NORMAL,
                               &deadline);
}

// Runs any callable as a task, and waits for its end.
template <typename Callable>
void run_in(const Pool& pool, Callable callable) {
  struct Call {
    Callable callable;
    std::latch ended{1};
  } call{std::move(callable)};
  const auto run = [](void* argument) {
    static_cast<Call*>(argument)->callable();
    static_cast<Call*>(argument)->ended.count_down();
  };
  ASSERT_EQ(evpool_pool_add(pool.get(), run, nullptr, &call, EVPOOL_NORMAL), 0);
  call.ended.wait();
}

std::string thread_name_in(const Pool& pool) {
  char name[16] = "";
  run_in(pool, [&name] { pthread_getname_np(pthread_self(), name, sizeof(name)); });
  return name;
}

// How many tasks wait at most, of a pool whose only worker is blocked.
std::size_t count_room(const Pool& pool, Calls& calls) {
  std::size_t added = 0;
  while (add(pool, calls) == 0) ++added;
  return added;
}

TEST(EvpoolPool, its_header_is_c) { EXPECT_EQ(evpool_pool_header_is_c(), 1); }

// --- Creation ---------------------------------------------------------------------------------

TEST(EvpoolPool, has_the_defaults_without_options_and_where_they_are_0) {
  evpool_pool_options zeroes{};
  zeroes.struct_bytes = sizeof(zeroes);
  for (const evpool_pool_options* const options :
       {static_cast<evpool_pool_options*>(nullptr), &zeroes}) {
    Calls calls;
    const std::size_t threads_before = count_threads();
    evpool_pool* made = nullptr;
    ASSERT_EQ(evpool_pool_create(options, &made, nullptr, 0), 0);
    const Pool pool(made);
    EXPECT_EQ(thread_name_in(pool), "worker");
    ASSERT_TRUE(threads_become(threads_before + usable_cpus()));
    std::deque<CBlocker> blockers;
    while (blockers.size() < usable_cpus()) blockers.emplace_back(pool);
    EXPECT_EQ(count_room(pool, calls), 1024U);
    for (CBlocker& blocker : blockers) blocker.release();
    EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
  }
}

TEST(EvpoolPool, does_as_its_options_say) {
  Calls calls;
  const evpool_pool_options options = {.struct_bytes = sizeof(options),
                                       .workers = 2,
                                       .capacity_tasks = 3,
                                       .thread_name = "a name that is too long",
                                       .stack_bytes = std::size_t{1} << 20U};
  evpool_pool* made = nullptr;
  ASSERT_EQ(evpool_pool_create(&options, &made, nullptr, 0), 0);
  const Pool pool(made);
  EXPECT_EQ(thread_name_in(pool), "a name that is ");
  std::size_t stack_bytes = 0;
  run_in(pool, [&stack_bytes] {
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstacksize(&attributes, &stack_bytes);
    pthread_attr_destroy(&attributes);
  });
  EXPECT_EQ(stack_bytes, options.stack_bytes);
  CBlocker first(pool);
  CBlocker second(pool);  // returns: there are two workers
  EXPECT_EQ(count_room(pool, calls), 3U);
  first.release();
  second.release();
}

TEST(EvpoolPool, reads_of_an_older_callers_options_only_what_it_knew) {
  // Of the version that ended with `workers`; what follows it is none of the library's business,
  // and would be refused. On the heap, where AddressSanitizer sees a look beyond the block.
  constexpr std::size_t kBytes = offsetof(evpool_pool_options, capacity_tasks);
  evpool_pool_options beyond{};
  beyond.struct_bytes = kBytes;
  beyond.workers = 2;
  beyond.capacity_tasks = std::numeric_limits<std::size_t>::max();
  beyond.stack_bytes = 1;
  const auto exact = std::make_unique<std::size_t[]>(kBytes / sizeof(std::size_t));
  std::memcpy(exact.get(), &beyond, kBytes);
  const void* const versions[] = {&beyond, exact.get()};
  for (const void* const options : versions) {
    Calls calls;
    evpool_pool* made = nullptr;
    char error[200] = "";
    ASSERT_EQ(evpool_pool_create(static_cast<const evpool_pool_options*>(options), &made, error,
                                 sizeof(error)),
              0)
        << error;
    const Pool pool(made);
    CBlocker first(pool);
    CBlocker second(pool);
    EXPECT_EQ(count_room(pool, calls), 1024U);
    first.release();
    second.release();
  }
}

TEST(EvpoolPool, ignores_what_it_does_not_know_of_a_newer_callers_options) {
  struct Newer {
    evpool_pool_options known;
    std::size_t unknown;
  } options{};
  options.known.struct_bytes = sizeof(options);
  options.known.workers = 1;
  options.known.capacity_tasks = 3;
  options.unknown = 7;
  Calls calls;
  evpool_pool* made = nullptr;
  ASSERT_EQ(evpool_pool_create(&options.known, &made, nullptr, 0), 0);
  const Pool pool(made);
  CBlocker blocker(pool);
  EXPECT_EQ(count_room(pool, calls), 3U);
  blocker.release();
}

TEST(EvpoolPool, creation_that_fails_says_why_by_number_and_in_words) {
  struct Failure {
    std::size_t workers;
    std::size_t capacity_tasks;
    std::size_t stack_bytes;
    int error;
    const char* words;
  };
  Calls calls;
  const Failure failures[] = {
      {1025, 0, 0, EINVAL,
       "cannot create a pool of 1025 workers: it must have 0 (one for each usable CPU) to 1024"},
      {0, 16'777'217, 0, EINVAL,
       "cannot create a pool with a capacity of 16777217 tasks: it must be 1 to 16777216"},
      {0, 0, 1, EINVAL, "cannot give a worker a stack of 1 bytes"},
      // More than the address space has.
      {2, 0, std::size_t{1} << 50U, EAGAIN,
       "cannot start worker 1 of 2: a limit on threads or on stack memory"},
  };
  for (const Failure& failure : failures) {
    const evpool_pool_options options = {.struct_bytes = sizeof(options),
                                         .workers = failure.workers,
                                         .capacity_tasks = failure.capacity_tasks,
                                         .thread_name = nullptr,
                                         .stack_bytes = failure.stack_bytes};
    evpool_pool* pool = reinterpret_cast<evpool_pool*>(&calls);  // not to be taken for a pool
    char error[200] = "";
    EXPECT_EQ(evpool_pool_create(&options, &pool, error, sizeof(error)), failure.error) << error;
    EXPECT_EQ(pool, nullptr);
    EXPECT_EQ(std::string(error).substr(0, std::strlen(failure.words)), failure.words);
  }
}

TEST(EvpoolPool, refuses_options_that_end_within_a_member_and_a_place_that_is_none) {
  evpool_pool_options options{};
  options.workers = 2;
  for (std::size_t bytes = 0; bytes < sizeof(options); ++bytes) {
    if (bytes > 0 && bytes % sizeof(std::size_t) == 0) continue;
    options.struct_bytes = bytes;
    evpool_pool* pool = nullptr;
    char error[200] = "";
    EXPECT_EQ(evpool_pool_create(&options, &pool, error, sizeof(error)), EINVAL) << bytes;
    EXPECT_NE(std::string(error).find("struct_bytes"), std::string::npos) << error;
    EXPECT_EQ(pool, nullptr);
  }
  char error[200] = "";
  EXPECT_EQ(evpool_pool_create(nullptr, nullptr, error, sizeof(error)), EINVAL);
  EXPECT_STREQ(error, "cannot create a pool: there is no place for it");
}

TEST(EvpoolPool, cuts_the_words_to_the_buffer_and_writes_nothing_beyond_it) {
  evpool_pool_options options{};
  options.struct_bytes = sizeof(options);
  options.workers = 1025;
  const std::string words =
      "cannot create a pool of 1025 workers: it must have 0 (one for each usable CPU) to 1024";
  evpool_pool* pool = nullptr;
  for (std::size_t bytes = 0; bytes <= words.size() + 2; ++bytes) {
    std::vector<char> error(words.size() + 3, '#');
    EXPECT_EQ(evpool_pool_create(&options, &pool, error.data(), bytes), EINVAL);
    std::vector<char> expected(error.size(), '#');
    if (bytes > 0) {
      const std::size_t length = std::min(words.size(), bytes - 1);
      std::copy_n(words.begin(), length, expected.begin());
      expected[length] = '\0';
    }
    EXPECT_EQ(error, expected) << bytes;
  }
  EXPECT_EQ(evpool_pool_create(&options, &pool, nullptr, 100), EINVAL);
  EXPECT_EQ(pool, nullptr);
}

// --- Adding -----------------------------------------------------------------------------------

TEST(EvpoolPool, runs_what_was_added_once_and_does_not_discard_it) {
  Calls calls;
  const Pool pool = create(2, 100);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(add(pool, calls), 0);
  EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
  EXPECT_EQ(calls.run.load(), 100);
  EXPECT_EQ(calls.discarded.load(), 0);
}

TEST(EvpoolPool, a_refused_task_is_neither_run_nor_discarded_and_the_number_says_why) {
  Calls calls;
  Calls refused;
  {
    const Pool pool = create(1, 1);
    CBlocker blocker(pool);
    ASSERT_EQ(add(pool, calls), 0);
    EXPECT_EQ(add(pool, refused), EAGAIN);
    EXPECT_EQ(add_until(pool, refused, kPast), ETIMEDOUT);
    EXPECT_EQ(evpool_pool_drain(pool.get(), &kPast), ETIMEDOUT);
    EXPECT_EQ(add(pool, refused), ECANCELED);
    EXPECT_EQ(add_until(pool, refused, in_good_time()), ECANCELED);
    blocker.release();
    EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
    EXPECT_EQ(add(pool, refused), ESHUTDOWN);
    EXPECT_EQ(add_until(pool, refused, in_good_time()), ESHUTDOWN);
    EXPECT_EQ(statistics_of(pool).refused, 6U);
  }
  const Pool stopped = create(1, 1);
  EXPECT_EQ(evpool_pool_stop(stopped.get()), 0);
  EXPECT_EQ(add(stopped, refused), ESHUTDOWN);
  EXPECT_EQ(calls.run.load(), 1);
  EXPECT_EQ(calls.discarded.load(), 0);
  EXPECT_EQ(refused.run.load(), 0);
  EXPECT_EQ(refused.discarded.load(), 0);
}

TEST(EvpoolPool, add_until_waits_for_room_up_to_the_deadline) {
  Calls calls;
  const Pool pool = create(1, 1);
  CBlocker blocker(pool);
  ASSERT_EQ(add_until(pool, calls, kPast), 0) << "there was room, so no need to wait";
  const timespec soon = in_ms(20);
  EXPECT_EQ(add_until(pool, calls, soon), ETIMEDOUT);
  EXPECT_TRUE(has_passed(soon)) << "it gave up too early";

  std::thread adder([&] { EXPECT_EQ(add_until(pool, calls, in_good_time()), 0); });
  blocker.release();
  adder.join();
  EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
  EXPECT_EQ(calls.run.load(), 2);
}

TEST(EvpoolPool, add_until_without_a_deadline_waits_for_ever) {
  Calls calls;
  const Pool pool = create(1, 1);
  CBlocker blocker(pool);
  ASSERT_EQ(add(pool, calls), 0);
  std::thread releaser([&blocker] { blocker.release(); });
  EXPECT_EQ(evpool_pool_add_until(pool.get(), count_run, nullptr, &calls, EVPOOL_NORMAL, nullptr),
            0);
  releaser.join();
  EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
  EXPECT_EQ(calls.run.load(), 2);
}

TEST(EvpoolPool, refuses_what_cannot_be_meant_and_does_nothing) {
  Calls calls;
  const Pool pool = create(1, 10);
  const timespec soon = in_ms(20);
  const auto none = static_cast<evpool_priority>(3);
  EXPECT_EQ(evpool_pool_add(nullptr, count_run, nullptr, &calls, EVPOOL_NORMAL), EINVAL);
  EXPECT_EQ(evpool_pool_add(pool.get(), nullptr, nullptr, &calls, EVPOOL_NORMAL), EINVAL);
  EXPECT_EQ(evpool_pool_add(pool.get(), count_run, nullptr, &calls, none), EINVAL);
  EXPECT_EQ(evpool_pool_add_until(nullptr, count_run, nullptr, &calls, EVPOOL_NORMAL, &soon),
            EINVAL);
  EXPECT_EQ(evpool_pool_add_until(pool.get(), nullptr, nullptr, &calls, EVPOOL_NORMAL, &soon),
            EINVAL);
  EXPECT_EQ(evpool_pool_add_until(pool.get(), count_run, nullptr, &calls, none, &soon), EINVAL);
  EXPECT_EQ(evpool_pool_drain(nullptr, nullptr), EINVAL);
  EXPECT_EQ(evpool_pool_stop(nullptr), EINVAL);
  evpool_pool_statistics statistics{};
  statistics.struct_bytes = sizeof(statistics);
  EXPECT_EQ(evpool_pool_get_statistics(nullptr, &statistics), EINVAL);
  EXPECT_EQ(evpool_pool_get_statistics(pool.get(), nullptr), EINVAL);
  EXPECT_EQ(add(pool, calls), 0) << "the pool is as it was";
  EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
  EXPECT_EQ(calls.run.load(), 1);
}

// In many rounds: the waiter must be told also when it looks for room just then.
TEST(EvpoolPool, who_waits_for_room_learns_that_the_pool_drains_or_stops) {
  for (int round = 0; round < 100 && !HasFailure(); ++round) {
    const bool drains = round % 2 == 0;
    Calls calls;
    Calls refused;
    const Pool pool = create(1, 1);
    CBlocker blocker(pool);
    ASSERT_EQ(add(pool, calls), 0);
    std::latch waits(1);
    std::thread adder([&] {
      const timespec deadline = in_ms(10'000);
      waits.count_down();
      EXPECT_EQ(add_until(pool, refused, deadline), drains ? ECANCELED : ESHUTDOWN);
      EXPECT_FALSE(has_passed(deadline)) << "nobody told it";
      blocker.release();  // only now, so that nothing but the refusal can end the wait
    });
    waits.wait();
    if (drains) {
      EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
    } else {
      EXPECT_EQ(evpool_pool_stop(pool.get()), 0);
    }
    adder.join();
    EXPECT_EQ(calls.run.load(), drains ? 1 : 0);
    EXPECT_EQ(refused.run.load() + refused.discarded.load(), 0);
  }
}

TEST(EvpoolPool, high_goes_before_normal_before_low) {
  struct Order {
    std::vector<evpool_priority> ran;
  } order;
  constexpr int kEach = 8;
  const Pool pool = create(1, 100);
  CBlocker blocker(pool);
  for (int i = 0; i < kEach; ++i) {
    ASSERT_EQ(evpool_pool_add(
                  pool.get(), [](void* to) { static_cast<Order*>(to)->ran.push_back(EVPOOL_LOW); },
                  nullptr, &order, EVPOOL_LOW),
              0);
    ASSERT_EQ(
        evpool_pool_add(
            pool.get(), [](void* to) { static_cast<Order*>(to)->ran.push_back(EVPOOL_NORMAL); },
            nullptr, &order, EVPOOL_NORMAL),
        0);
    ASSERT_EQ(evpool_pool_add(
                  pool.get(), [](void* to) { static_cast<Order*>(to)->ran.push_back(EVPOOL_HIGH); },
                  nullptr, &order, EVPOOL_HIGH),
              0);
  }
  blocker.release();
  EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
  ASSERT_EQ(order.ran.size(), 3U * kEach);
  // Every 16th may come early: of a later priority, each.
  EXPECT_GE(std::count(order.ran.begin(), order.ran.begin() + kEach, EVPOOL_HIGH), kEach - 2);
  EXPECT_GE(std::count(order.ran.end() - kEach, order.ran.end(), EVPOOL_LOW), kEach - 2);
}

// --- The end ----------------------------------------------------------------------------------

TEST(EvpoolPool, a_drain_whose_deadline_passed_lets_the_tasks_go_on) {
  Calls calls;
  const Pool pool = create(1, 10);
  CBlocker blocker(pool);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(add(pool, calls), 0);
  EXPECT_EQ(evpool_pool_drain(pool.get(), &kPast), ETIMEDOUT);
  const timespec soon = in_ms(20);
  EXPECT_EQ(evpool_pool_drain(pool.get(), &soon), ETIMEDOUT);
  EXPECT_EQ(calls.run.load(), 0);
  blocker.release();
  const timespec enough = in_good_time();
  EXPECT_EQ(evpool_pool_drain(pool.get(), &enough), 0);
  EXPECT_EQ(calls.run.load(), 10);
  EXPECT_EQ(calls.discarded.load(), 0);
  EXPECT_EQ(evpool_pool_drain(pool.get(), &kPast), 0) << "it has ended already";
  EXPECT_EQ(evpool_pool_stop(pool.get()), 0);
}

TEST(EvpoolPool, a_deadline_further_off_than_the_clock_can_count_is_for_ever) {
  Calls calls;
  const Pool pool = create(1, 10'000);
  CBlocker blocker(pool);
  std::thread releaser([&] {
    while (add(pool, calls) != ECANCELED) std::this_thread::yield();
    blocker.release();
  });
  timespec never = in_good_time();
  never.tv_sec = std::numeric_limits<time_t>::max();
  EXPECT_EQ(evpool_pool_drain(pool.get(), &never), 0);
  releaser.join();
}

TEST(EvpoolPool, a_stop_finishes_what_runs_and_discards_the_rest_once) {
  Calls calls;
  const Pool pool = create(1, 10);
  auto blocker = std::make_unique<CBlocker>(pool);
  for (int i = 0; i < 9; ++i) ASSERT_EQ(add(pool, calls), 0);
  ASSERT_EQ(evpool_pool_add(pool.get(), count_run, nullptr, &calls, EVPOOL_NORMAL), 0)
      << "without a discard function";
  std::thread stopper([&pool] { EXPECT_EQ(evpool_pool_stop(pool.get()), 0); });
  while (calls.discarded.load() < 9) std::this_thread::yield();
  blocker->release();
  stopper.join();
  EXPECT_EQ(calls.run.load(), 0);
  EXPECT_EQ(calls.discarded.load(), 9);
  EXPECT_EQ(statistics_of(pool).discarded, 10U);
  EXPECT_EQ(statistics_of(pool).executed, 1U);
}

TEST(EvpoolPool, destruction_discards_each_waiting_task_once) {
  constexpr int kTasks = 10;
  std::vector<Calls> calls(kTasks);
  Pool pool = create(1, kTasks);
  CBlocker blocker(pool);
  for (Calls& task : calls) ASSERT_EQ(add(pool, task), 0);
  std::thread destroyer([&pool] { pool.reset(); });
  for (const Calls& task : calls) {
    while (task.discarded.load() == 0) std::this_thread::yield();
  }
  blocker.release();
  destroyer.join();
  for (const Calls& task : calls) {
    EXPECT_EQ(task.discarded.load(), 1);
    EXPECT_EQ(task.run.load(), 0);
  }
}

TEST(EvpoolPool, destruction_after_a_drain_calls_nothing_and_of_null_is_allowed) {
  Calls calls;
  {
    const Pool pool = create(2, 10);
    for (int i = 0; i < 10; ++i) ASSERT_EQ(add(pool, calls), 0);
    EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
  }
  EXPECT_EQ(calls.run.load(), 10);
  EXPECT_EQ(calls.discarded.load(), 0);
  evpool_pool_destroy(nullptr);
}

TEST(EvpoolPool, is_destroyed_by_its_own_task) {
  struct Shared {
    evpool_pool* pool = nullptr;
    Calls waiting;
    std::latch others_run{2};
    std::latch all_added{1};
    std::atomic<bool> others_ended[2] = {false, false};
    std::latch destroyed{1};
  };
  // Shared, because the worker may still be in a latch when this test ends.
  const auto shared = std::make_shared<Shared>();
  auto* const for_the_worker = new std::shared_ptr<Shared>(shared);
  shared->pool = create(3, 10).release();
  const auto destroy = [](void* argument) {
    const std::unique_ptr<std::shared_ptr<Shared>> share(
        static_cast<std::shared_ptr<Shared>*>(argument));
    Shared& all = **share;
    all.all_added.wait();
    evpool_pool_destroy(all.pool);
    EXPECT_TRUE(all.others_ended[0].load() && all.others_ended[1].load());
    EXPECT_EQ(all.waiting.discarded.load(), 1);
    all.destroyed.count_down();
  };
  struct Other {
    Shared* shared;
    std::size_t number;
  } others[] = {{shared.get(), 0}, {shared.get(), 1}};
  const auto other = [](void* argument) {
    auto& [all, number] = *static_cast<Other*>(argument);
    all->others_run.count_down();
    while (all->waiting.discarded.load() == 0) std::this_thread::yield();
    all->others_ended[number].store(true);
  };
  for (Other& each : others) {
    ASSERT_EQ(evpool_pool_add(shared->pool, other, nullptr, &each, EVPOOL_NORMAL), 0);
  }
  shared->others_run.wait();
  ASSERT_EQ(evpool_pool_add(shared->pool, destroy, nullptr, for_the_worker, EVPOOL_NORMAL), 0);
  ASSERT_EQ(
      evpool_pool_add(shared->pool, count_run, count_discarded, &shared->waiting, EVPOOL_NORMAL),
      0);
  shared->all_added.count_down();
  shared->destroyed.wait();
  EXPECT_EQ(shared->waiting.run.load(), 0);
}

TEST(EvpoolPool, its_own_task_is_refused_what_would_wait_for_itself) {
  Calls calls;
  const Pool pool = create(1, 1);
  run_in(pool, [&] {
    const timespec soon = in_good_time();
    EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), EDEADLK);
    EXPECT_EQ(evpool_pool_drain(pool.get(), &kPast), EDEADLK);
    EXPECT_EQ(evpool_pool_stop(pool.get()), EDEADLK);
    EXPECT_EQ(add_until(pool, calls, soon), 0) << "there is room, and nothing was closed";
    EXPECT_EQ(add_until(pool, calls, soon), EDEADLK);
    EXPECT_EQ(add(pool, calls), EAGAIN);
  });
  EXPECT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
  EXPECT_EQ(calls.run.load(), 1);
  EXPECT_EQ(calls.discarded.load(), 0);
}

}  // namespace
}  // namespace evpool
