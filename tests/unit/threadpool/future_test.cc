#include "threadpool/future.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/threadpool/blocker.h"
#include "tests/unit/threadpool/in_child.h"
#include "threadpool/block_pool.h"
#include "threadpool/thread_pool.h"

namespace evpool {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Deadline in(std::chrono::nanoseconds time) { return std::chrono::steady_clock::now() + time; }
Deadline in_good_time() { return in(seconds(60)); }
Deadline past() { return std::chrono::steady_clock::now() - seconds(1); }

template <typename Callable>
auto submit_added(ThreadPool& pool, Callable callable) {
  auto submitted = submit(pool, std::move(callable));
  EXPECT_EQ(submitted.added, AddResult::added);
  EXPECT_TRUE(submitted.future.valid());
  return std::move(submitted.future);
}

template <typename Call>
void expect_refused_as_deadlock(const Call& call) {
  try {
    call();
    ADD_FAILURE() << "it waited, or need not have";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::make_error_code(std::errc::resource_deadlock_would_occur));
  }
}

// --- Results
// ----------------------------------------------------------------------------------------

TEST(Future, gives_what_the_task_returned) {
  const auto pool = ThreadPool::create({.workers = 1});
  auto [added, answer] = submit(*pool, [] { return 6 * 7; });
  ASSERT_EQ(added, AddResult::added);
  EXPECT_EQ(answer.get(), 42);
  EXPECT_EQ(pool->drain().executed, 1U);
}

TEST(Future, of_a_task_without_a_result_says_that_it_has_run) {
  const auto pool = ThreadPool::create({.workers = 1});
  bool run = false;  // not atomic: get() must come after the task, also for ThreadSanitizer
  auto done = submit_added(*pool, [&run] { run = true; });
  done.get();
  EXPECT_TRUE(run);
}

TEST(Future, hands_over_a_result_that_can_only_be_moved) {
  const auto pool = ThreadPool::create({.workers = 1});
  auto made = submit_added(*pool, [] { return std::make_unique<int>(7); });
  const std::unique_ptr<int> seven = made.get();
  ASSERT_NE(seven, nullptr);
  EXPECT_EQ(*seven, 7);
}

TEST(Future, takes_a_callable_that_can_only_be_moved) {
  const auto pool = ThreadPool::create({.workers = 1});
  auto given_back = submit_added(
      *pool, [given = std::make_unique<int>(7)]() mutable { return std::move(given); });
  EXPECT_EQ(*given_back.get(), 7);
}

TEST(Future, takes_callables_and_results_larger_than_a_task_and_than_a_block) {
  const auto pool = ThreadPool::create({.workers = 1});
  std::array<int, BlockPool::kBlockBytes> numbers{};
  std::iota(numbers.begin(), numbers.end(), 0);
  auto doubled = submit_added(*pool, [numbers]() mutable {
    for (int& number : numbers) number *= 2;
    return numbers;
  });
  const auto result = doubled.get();
  for (std::size_t i = 0; i < result.size(); ++i) EXPECT_EQ(result[i], 2 * static_cast<int>(i));
}

TEST(Future, rethrows_what_the_task_threw_and_the_pools_handler_hears_nothing) {
  std::atomic<int> handled{0};
  const auto pool = ThreadPool::create(
      {.on_exception = [&handled](const std::exception_ptr&) { handled.fetch_add(1); }});
  auto number = submit_added(*pool, []() -> int { throw std::runtime_error("no luck"); });
  auto nothing = submit_added(*pool, [] { throw 7; });
  try {
    static_cast<void>(number.get());
    ADD_FAILURE() << "it did not throw";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "no luck");
  }
  EXPECT_FALSE(number.valid());
  try {
    nothing.get();
    ADD_FAILURE() << "it did not throw";
  } catch (int thrown) {
    EXPECT_EQ(thrown, 7);
  }
  EXPECT_EQ(pool->drain().executed, 2U);
  EXPECT_EQ(handled.load(), 0);
}

TEST(Future, is_valid_from_the_adding_until_it_gave_its_result) {
  const auto pool = ThreadPool::create({.workers = 1});
  Future<int> future;
  EXPECT_FALSE(future.valid());
  future = submit_added(*pool, [] { return 1; });
  Future<int> moved_to = std::move(future);
  EXPECT_FALSE(future.valid());  // NOLINT(bugprone-use-after-move): that is the test
  EXPECT_TRUE(moved_to.valid());
  EXPECT_EQ(moved_to.get(), 1);
  EXPECT_FALSE(moved_to.valid());
}

TEST(FutureDeathTest, use_of_an_invalid_one_is_a_failed_assertion) {
  Future<int> future;
  EXPECT_DEATH(static_cast<void>(future.ready()), "valid\\(\\)");
  EXPECT_DEATH(future.wait(), "valid\\(\\)");
  EXPECT_DEATH(static_cast<void>(future.wait_until(past())), "valid\\(\\)");
  EXPECT_DEATH(static_cast<void>(future.get()), "valid\\(\\)");
  EXPECT_DEATH(static_cast<void>(future.cancel()), "valid\\(\\)");
}

TEST(Future, of_a_task_of_high_priority_is_ready_first) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  std::vector<int> order;
  std::vector<Future<void>> futures;
  constexpr int kEach = 8;
  for (const TaskPriority priority : {TaskPriority::low, TaskPriority::high}) {
    for (int i = 0; i < kEach; ++i) {
      auto submitted = submit(
          *pool, [&order, priority] { order.push_back(priority == TaskPriority::high ? 1 : 0); },
          priority);
      ASSERT_EQ(submitted.added, AddResult::added);
      futures.push_back(std::move(submitted.future));
    }
  }
  blocker.release();
  pool->drain();
  // Of any 16 that a worker takes, one low may come early.
  EXPECT_GE(std::accumulate(order.begin(), order.begin() + kEach, 0), kEach - 1);
}

// --- Refusals and discarding
// ------------------------------------------------------------------------

// Each is refused with `expected`, gives no future, and leaves nothing of the callable behind.
void expect_refused(ThreadPool& pool, AddResult expected) {
  const auto captured = std::make_shared<int>(0);
  const std::uint64_t refused_before = pool.statistics().refused;
  const auto submitted = submit(pool, [captured] { return *captured; });
  EXPECT_EQ(submitted.added, expected);
  EXPECT_FALSE(submitted.future.valid());
  EXPECT_EQ(captured.use_count(), 1);
  EXPECT_EQ(pool.statistics().refused, refused_before + 1);
}

TEST(Future, is_invalid_when_a_full_a_draining_or_an_ended_pool_refused_the_task) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 1});
  Blocker blocker(*pool);
  auto waiting = submit_added(*pool, [] { return 1; });
  expect_refused(*pool, AddResult::full);
  EXPECT_FALSE(pool->drain_until(past()));
  expect_refused(*pool, AddResult::draining);
  blocker.release();
  pool->drain();
  expect_refused(*pool, AddResult::stopped);
  EXPECT_EQ(waiting.get(), 1);

  const auto stopped = ThreadPool::create({.workers = 1});
  stopped->stop();
  expect_refused(*stopped, AddResult::stopped);
}

TEST(Future, throws_task_discarded_when_the_pool_was_stopped_before_the_start) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  std::atomic<int> run{0};
  auto number = submit_added(*pool, [&run] { return run.fetch_add(1); });
  auto nothing = submit_added(*pool, [&run] { run.fetch_add(1); });
  EXPECT_FALSE(number.ready());
  pool->discard_queued();
  EXPECT_TRUE(number.ready());
  EXPECT_EQ(number.cancel(), CancelResult::finished);
  EXPECT_THROW(static_cast<void>(number.get()), TaskDiscarded);
  EXPECT_THROW(nothing.get(), TaskDiscarded);
  blocker.release();
  EXPECT_EQ(pool->stop().discarded, 2U);
  EXPECT_EQ(run.load(), 0);
}

TEST(Future, a_thread_that_waits_learns_that_the_task_was_discarded) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  auto number = submit_added(*pool, [] { return 1; });
  std::latch waits(1);
  std::thread waiter([&] {
    waits.count_down();
    EXPECT_THROW(static_cast<void>(number.get()), TaskDiscarded);
  });
  waits.wait();
  pool->discard_queued();
  waiter.join();
  blocker.release();
}

TEST(Future, outlives_its_pool) {
  auto pool = ThreadPool::create({.workers = 1});
  auto value = submit_added(*pool, [] { return std::string(1000, 'x'); });
  auto error = submit_added(*pool, []() -> int { throw std::runtime_error("no luck"); });
  value.wait();
  error.wait();
  std::latch running(1);
  std::atomic<bool> pool_goes{false};
  auto finished_meanwhile = submit_added(*pool, [&] {
    running.count_down();
    while (!pool_goes.load()) std::this_thread::yield();
    return 3;
  });
  running.wait();
  auto discarded = submit_added(*pool, [] { return 4; });
  auto unwanted = submit_added(*pool, [] { return 5; });
  std::thread destroyer([&pool] { pool.reset(); });
  // The one that waits is discarded before the one that runs is waited for.
  EXPECT_TRUE(discarded.wait_until(in_good_time()));
  pool_goes.store(true);
  destroyer.join();

  EXPECT_EQ(value.get(), std::string(1000, 'x'));
  EXPECT_THROW(static_cast<void>(error.get()), std::runtime_error);
  EXPECT_EQ(finished_meanwhile.get(), 3);
  EXPECT_THROW(static_cast<void>(discarded.get()), TaskDiscarded);
}

// --- Cancelling
// -------------------------------------------------------------------------------------

TEST(Future, a_task_cancelled_before_its_start_is_never_run) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  std::atomic<int> run{0};
  auto number = submit_added(*pool, [&run] { return run.fetch_add(1); });
  auto nothing = submit_added(*pool, [&run] { run.fetch_add(1); });
  EXPECT_EQ(number.cancel(), CancelResult::cancelled);
  EXPECT_TRUE(number.ready());
  EXPECT_EQ(number.cancel(), CancelResult::finished) << "the second time";
  EXPECT_EQ(nothing.cancel(), CancelResult::cancelled);
  EXPECT_THROW(static_cast<void>(number.get()), TaskCancelled);
  EXPECT_THROW(nothing.get(), TaskCancelled);
  blocker.release();
  const ThreadPoolStatistics statistics = pool->drain();
  EXPECT_EQ(statistics.cancelled, 2U);
  EXPECT_EQ(statistics.executed, 1U) << "the blocker";
  EXPECT_EQ(run.load(), 0);
}

TEST(Future, a_cancelled_task_stays_cancelled_when_the_pool_is_stopped) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  auto number = submit_added(*pool, [] { return 1; });
  EXPECT_EQ(number.cancel(), CancelResult::cancelled);
  pool->discard_queued();
  EXPECT_THROW(static_cast<void>(number.get()), TaskCancelled);
  blocker.release();
}

TEST(Future, a_task_cancelled_while_it_runs_is_told_by_its_stop_token) {
  const auto pool = ThreadPool::create({.workers = 1});
  std::latch running(1);
  auto told = submit_added(*pool, [&running](const std::stop_token& stop) {
    EXPECT_TRUE(stop.stop_possible());
    EXPECT_FALSE(stop.stop_requested());
    running.count_down();
    while (!stop.stop_requested()) std::this_thread::yield();
    return 5;
  });
  running.wait();
  EXPECT_EQ(told.cancel(), CancelResult::requested);
  told.wait();
  EXPECT_EQ(told.cancel(), CancelResult::finished);
  EXPECT_EQ(told.get(), 5);
  const ThreadPoolStatistics statistics = pool->drain();
  EXPECT_EQ(statistics.executed, 1U);
  EXPECT_EQ(statistics.cancelled, 0U);
}

TEST(Future, a_task_without_a_stop_token_that_is_cancelled_while_it_runs_goes_on) {
  const auto pool = ThreadPool::create({.workers = 1});
  std::latch running(1);
  std::latch release(1);
  auto number = submit_added(*pool, [&] {
    running.count_down();
    release.wait();
    return 5;
  });
  running.wait();
  EXPECT_EQ(number.cancel(), CancelResult::requested);
  EXPECT_EQ(number.cancel(), CancelResult::requested) << "the second time";
  EXPECT_FALSE(number.ready());
  release.count_down();
  EXPECT_EQ(number.get(), 5);
}

TEST(Future, cancelling_after_the_end_is_too_late_and_changes_nothing) {
  const auto pool = ThreadPool::create({.workers = 1});
  auto number = submit_added(*pool, [](const std::stop_token&) { return 5; });
  auto failed = submit_added(*pool, []() -> int { throw std::runtime_error("no luck"); });
  number.wait();
  failed.wait();
  EXPECT_EQ(number.cancel(), CancelResult::finished);
  EXPECT_EQ(failed.cancel(), CancelResult::finished);
  EXPECT_EQ(number.get(), 5);
  EXPECT_THROW(static_cast<void>(failed.get()), std::runtime_error);
}

TEST(Future, of_two_threads_that_cancel_at_once_one_does) {
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = 1024});
  Blocker blocker(*pool);
  constexpr int kRounds = 200;
  std::atomic<int> run{0};
  for (int round = 0; round < kRounds; ++round) {
    auto number = submit_added(*pool, [&run] { return run.fetch_add(1); });
    std::latch start(2);
    CancelResult other = CancelResult::finished;
    std::thread canceller([&] {
      start.arrive_and_wait();
      other = number.cancel();
    });
    start.arrive_and_wait();
    const CancelResult mine = number.cancel();
    canceller.join();
    EXPECT_NE(mine == CancelResult::cancelled, other == CancelResult::cancelled);
    EXPECT_THROW(static_cast<void>(number.get()), TaskCancelled);
  }
  blocker.release();
  EXPECT_EQ(pool->drain().cancelled, static_cast<std::uint64_t>(kRounds));
  EXPECT_EQ(run.load(), 0);
}

TEST(Future, what_cancel_said_is_what_happened_also_when_the_task_starts_meanwhile) {
  constexpr std::size_t kRounds = 2000;
  // With room for all, so that none is refused.
  const auto pool = ThreadPool::create({.workers = 2, .capacity_tasks = kRounds});
  std::uint64_t cancelled = 0;
  for (std::size_t round = 0; round < kRounds; ++round) {
    std::atomic<int> run{0};
    auto number = submit_added(*pool, [&run] { return run.fetch_add(1) + 1; });
    if (round % 2 == 0) std::this_thread::yield();
    const CancelResult said = number.cancel();
    if (said == CancelResult::cancelled) {
      ++cancelled;
      EXPECT_THROW(static_cast<void>(number.get()), TaskCancelled);
      EXPECT_EQ(run.load(), 0);
    } else {
      EXPECT_EQ(number.get(), 1);
      EXPECT_EQ(run.load(), 1);
    }
  }
  const ThreadPoolStatistics statistics = pool->drain();
  EXPECT_EQ(statistics.cancelled, cancelled);
  EXPECT_EQ(statistics.executed, kRounds - cancelled);
}

// --- Waiting
// ----------------------------------------------------------------------------------------

TEST(Future, waits_no_longer_than_to_the_deadline_and_can_be_waited_for_again) {
  const auto pool = ThreadPool::create({.workers = 1});
  Blocker blocker(*pool);
  auto number = submit_added(*pool, [] { return 5; });
  EXPECT_FALSE(number.wait_until(past()));
  EXPECT_FALSE(number.wait_until(Deadline::min())) << "before the clock's first second";
  const Deadline soon = in(milliseconds(20));
  EXPECT_FALSE(number.wait_until(soon));
  EXPECT_GE(std::chrono::steady_clock::now(), soon) << "it gave up too early";
  EXPECT_TRUE(number.valid());
  EXPECT_FALSE(number.ready());

  std::thread releaser([&blocker] { blocker.release(); });
  EXPECT_TRUE(number.wait_until(in_good_time()));
  EXPECT_TRUE(number.wait_until(past())) << "what is ready needs no waiting";
  EXPECT_EQ(number.get(), 5);
  releaser.join();
}

// A lost wake-up hangs it.
TEST(Future, no_wake_up_is_lost_in_many_rounds_of_waiting) {
  const auto pool = ThreadPool::create({.workers = 2});
  for (int round = 0; round < 2000; ++round) {
    auto number = submit_added(*pool, [round] { return round; });
    ASSERT_TRUE(number.wait_until(in_good_time())) << "a wake-up was lost";
    ASSERT_EQ(number.get(), round);
  }
}

TEST(Future, many_threads_each_get_their_own_results) {
  const auto pool = ThreadPool::create({.workers = 3, .capacity_tasks = 4096});
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  std::vector<std::thread> submitters;
  for (int thread = 0; thread < kThreads; ++thread) {
    submitters.emplace_back([&pool, thread] {
      std::vector<Future<int>> futures;
      for (int i = 0; i < kEach; ++i) {
        futures.push_back(submit_added(*pool, [thread, i] { return thread * kEach + i; }));
      }
      for (int i = 0; i < kEach; ++i) {
        EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), thread * kEach + i);
      }
    });
  }
  for (std::thread& submitter : submitters) submitter.join();
  EXPECT_EQ(pool->drain().executed, static_cast<std::uint64_t>(kThreads * kEach));
}

TEST(Future, a_worker_is_refused_waiting_for_its_own_pool_but_has_what_is_ready) {
  const auto pool = ThreadPool::create({.workers = 1});
  auto outcome = submit_added(*pool, [&pool] {
    auto number = submit_added(*pool, [] { return 5; });
    expect_refused_as_deadlock([&number] { static_cast<void>(number.get()); });
    expect_refused_as_deadlock([&number] { number.wait(); });
    expect_refused_as_deadlock([&number] { static_cast<void>(number.wait_until(past())); });
    EXPECT_TRUE(number.valid()) << "a refused get leaves the future as it was";
    EXPECT_FALSE(number.ready());
    return number;
  });
  auto number = outcome.get();
  number.wait();
  auto had = submit_added(*pool, [&number] {
    number.wait();
    EXPECT_TRUE(number.wait_until(past()));
    return number.get();
  });
  EXPECT_EQ(had.get(), 5);
}

TEST(Future, a_worker_may_wait_for_another_pool) {
  const auto pool = ThreadPool::create({.workers = 1});
  const auto other = ThreadPool::create({.workers = 1});
  Blocker blocker(*other);
  auto sum = submit_added(*pool, [&] {
    auto number = submit_added(*other, [] { return 5; });
    blocker.release();
    return number.get() + 1;
  });
  EXPECT_EQ(sum.get(), 6);
}

TEST(Future, a_child_of_fork_is_refused_waiting_but_has_what_is_ready) {
  const auto pool = ThreadPool::create({.workers = 1});
  auto ready = submit_added(*pool, [] { return 5; });
  ready.wait();
  std::latch running(1);
  std::latch release(1);
  auto runs = submit_added(*pool, [&] {
    running.count_down();
    release.wait();
    return 6;
  });
  running.wait();
  auto waits = submit_added(*pool, [] { return 7; });
  const int status = in_child([&] {
    expect_refused_as_deadlock([&runs] { static_cast<void>(runs.get()); });
    expect_refused_as_deadlock([&waits] { waits.wait(); });
    expect_refused_as_deadlock([&waits] { static_cast<void>(waits.wait_until(past())); });
    if (ready.get() != 5) return 1;
    // Its own future only: the parent's is not cancelled.
    if (waits.cancel() != CancelResult::cancelled) return 2;
    return testing::Test::HasFailure() ? 3 : 0;
  });
  EXPECT_EQ(status, 0);
  release.count_down();
  EXPECT_EQ(runs.get(), 6);
  EXPECT_EQ(waits.get(), 7);
}

// --- Letting go, and memory
// -------------------------------------------------------------------------

TEST(Future, letting_go_of_it_lets_the_task_run_on) {
  const auto pool = ThreadPool::create({.workers = 1});
  std::atomic<int> run{0};
  std::latch running(1);
  std::latch release(1);
  {
    auto runs = submit_added(*pool, [&] {
      running.count_down();
      release.wait();
      return run.fetch_add(1);
    });
    running.wait();
    auto waits = submit_added(*pool, [&run] { run.fetch_add(1); });
    auto overwritten = submit_added(*pool, [&run] { run.fetch_add(1); });
    overwritten = Future<void>();
  }
  release.count_down();
  EXPECT_EQ(pool->drain().executed, 3U);
  EXPECT_EQ(run.load(), 3);
}

TEST(Future, task_and_result_are_destroyed_once_nobody_holds_them) {
  const auto pool = ThreadPool::create({.workers = 1});
  const auto captured = std::make_shared<int>(0);
  const auto result = std::make_shared<int>(0);
  {
    auto unclaimed = submit_added(*pool, [captured, result] { return result; });
    auto discarded_later = submit_added(*pool, [captured] {});
    unclaimed.wait();
    EXPECT_GT(result.use_count(), 2) << "with the callable and the value";
  }
  {
    auto cancelled = submit_added(*pool, [captured] {});
    static_cast<void>(cancelled.cancel());
  }
  pool->drain();
  EXPECT_EQ(captured.use_count(), 1);
  EXPECT_EQ(result.use_count(), 1);
}

// Says where it was run: inside the block that the future and its task share.
class WhereItIs {
 public:
  const void* operator()() const { return this; }

 private:
  [[maybe_unused]] std::byte filling_[32] = {};
};

std::set<void*> allocate_blocks(BlockPool& blocks, std::size_t count) {
  std::set<void*> allocated;
  for (std::size_t i = 0; i < count; ++i) {
    allocated.insert(blocks.allocate(BlockPool::kBlockBytes));
  }
  return allocated;
}
void release_blocks(BlockPool& blocks, const std::set<void*>& allocated) {
  for (void* const block : allocated) blocks.release(block, BlockPool::kBlockBytes);
}
bool is_in_one_of(const std::set<void*>& blocks, const void* at) {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  for (const void* const block : blocks) {
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    if (address >= begin && address < begin + BlockPool::kBlockBytes) return true;
  }
  return false;
}

// The blocks are kept by the pool, so nothing that was allocated anew could lie in one.
TEST(Future, many_futures_live_in_the_pools_own_blocks_and_give_them_back) {
  constexpr std::size_t kFutures = BlockPool::kKeptBlocks;
  const auto pool = ThreadPool::create({.workers = 1, .capacity_tasks = kFutures});
  const auto blocks = pool->blocks();
  const std::set<void*> kept = allocate_blocks(*blocks, kFutures);
  release_blocks(*blocks, kept);
  for (int round = 0; round < 3; ++round) {
    Blocker blocker(*pool);
    std::vector<Future<const void*>> futures;
    for (std::size_t i = 0; i + 1 < kFutures; ++i) {
      futures.push_back(submit_added(*pool, WhereItIs()));
    }
    // So that a round ends with a task's letting go, too.
    auto last = submit_added(*pool, WhereItIs());
    blocker.release();
    for (Future<const void*>& future : futures) EXPECT_TRUE(is_in_one_of(kept, future.get()));
    EXPECT_TRUE(is_in_one_of(kept, last.get()));
    // The worker lets go of a task before it begins the next.
    std::latch next_runs(1);
    while (pool->try_add([&next_runs] { next_runs.count_down(); }) != AddResult::added) {
      std::this_thread::yield();
    }
    next_runs.wait();
  }
  pool->drain();
  const std::set<void*> kept_afterwards = allocate_blocks(*blocks, kFutures);
  EXPECT_EQ(kept_afterwards, kept);
  release_blocks(*blocks, kept_afterwards);
}

// The first move is submit's own; a prvalue argument needs none.
struct CannotBeMoved {
  CannotBeMoved() = default;
  CannotBeMoved(const CannotBeMoved&) = delete;
  CannotBeMoved& operator=(const CannotBeMoved&) = delete;
  CannotBeMoved(CannotBeMoved&&) noexcept(false) { throw std::runtime_error("stays here"); }
  CannotBeMoved& operator=(CannotBeMoved&&) = delete;
  ~CannotBeMoved() = default;
  int operator()() const { return 1; }
};

TEST(Future, a_callable_that_throws_when_it_is_moved_is_not_added_and_takes_no_memory) {
  const auto pool = ThreadPool::create({.workers = 1});
  const auto blocks = pool->blocks();
  void* const block = blocks->allocate(BlockPool::kBlockBytes);
  blocks->release(block, BlockPool::kBlockBytes);
  EXPECT_THROW(static_cast<void>(submit(*pool, CannotBeMoved())), std::runtime_error);
  void* const same_block = blocks->allocate(BlockPool::kBlockBytes);
  EXPECT_EQ(same_block, block) << "it was not given back";
  blocks->release(same_block, BlockPool::kBlockBytes);
  EXPECT_EQ(pool->drain().executed, 0U);
}

}  // namespace
}  // namespace evpool
