// LifoSemaphore: every interleaving of a model of it, its order, and many threads.
#include "threadpool/lifo_semaphore.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/becomes_true.h"
#include "tests/unit/threadpool/model_explorer.h"

namespace evpool {
namespace {

enum class Broken : std::uint8_t { nothing, changes_are_not_counted, tokens_are_not_looked_for };

// Threads that sleep for a token each time, and threads that release as many together. The futex is
// a thread that can't step while its word is 0: that is what the kernel guarantees.
template <int kSleepers, int kAcquires, int kReleasers, int kReleases>
struct SemaphoreModel {
  static_assert(kSleepers * kAcquires == kReleasers * kReleases);
  static constexpr int kProcesses = kSleepers + kReleasers;

  enum Step : std::uint8_t { load, prepare, exchange, wait, ended };

  struct Word {
    std::uint8_t tokens = 0;
    std::uint8_t top = 0;
    std::uint8_t changes = 0;
    bool operator==(const Word&) const = default;
  };

  Word word;
  std::uint8_t woken[kSleepers] = {};
  std::uint8_t below[kSleepers] = {};
  std::uint8_t at[kProcesses] = {};
  Word seen[kProcesses];
  std::uint8_t seen_below[kProcesses] = {};  // of a releaser
  std::uint8_t left[kProcesses];
  std::uint8_t released = 0;
  std::uint8_t acquired = 0;
  Broken broken = Broken::nothing;

  explicit SemaphoreModel(Broken rule) : broken(rule) {
    for (int i = 0; i < kProcesses; ++i) {
      left[i] = i < kSleepers ? std::uint8_t{kAcquires} : std::uint8_t{kReleases};
    }
  }

  bool step(int process) {
    if (at[process] == ended) return false;
    if (at[process] == load) {
      seen[process] = word;
      at[process] = prepare;
      return true;
    }
    return process < kSleepers ? step_sleeper(process) : step_releaser(process);
  }
  [[nodiscard]] std::string complaint() const {
    return acquired > released ? "a token was had that nobody released" : "";
  }
  [[nodiscard]] std::string end_complaint() const {
    for (const std::uint8_t step : at) {
      if (step != ended) return "somebody is stuck";
    }
    return word.tokens != 0 || word.top != 0 ? "something is left over" : "";
  }

 private:
  bool compare_exchange(int process, Word desired) {
    if (!(word == seen[process])) {
      at[process] = load;
      return false;
    }
    word = desired;
    return true;
  }
  [[nodiscard]] Word changed(int process, int top) const {
    Word next = seen[process];
    next.top = static_cast<std::uint8_t>(top);
    if (broken != Broken::changes_are_not_counted) ++next.changes;
    return next;
  }
  void finish(int process) { at[process] = --left[process] == 0 ? ended : load; }

  bool step_sleeper(int process) {
    switch (at[process]) {
      case prepare:
        if (seen[process].tokens > 0 && broken != Broken::tokens_are_not_looked_for) {
          Word next = seen[process];
          --next.tokens;
          if (compare_exchange(process, next)) {
            ++acquired;
            finish(process);
          }
          return true;
        }
        woken[process] = 0;
        below[process] = seen[process].top;
        at[process] = exchange;
        return true;
      case exchange:
        if (compare_exchange(process, changed(process, process + 1))) at[process] = wait;
        return true;
      default:  // wait
        if (woken[process] == 0) return false;
        ++acquired;
        finish(process);
        return true;
    }
  }

  bool step_releaser(int process) {
    const int top = seen[process].top;
    switch (at[process]) {
      case prepare:
        if (top == 0) {
          Word next = seen[process];
          ++next.tokens;
          if (compare_exchange(process, next)) {
            ++released;
            finish(process);
          }
          return true;
        }
        seen_below[process] = below[top - 1];
        at[process] = exchange;
        return true;
      case exchange:
        if (compare_exchange(process, changed(process, seen_below[process]))) {
          ++released;
          at[process] = wait;
        }
        return true;
      default:  // the store after the exchange
        woken[top - 1] = 1;
        finish(process);
        return true;
    }
  }
};

TEST(LifoSemaphoreModel, nobody_sleeps_on_a_token_that_was_released) {
  const auto two_and_two = explore(SemaphoreModel<2, 2, 2, 2>(Broken::nothing));
  EXPECT_EQ(two_and_two.complaint, "");
  EXPECT_GT(two_and_two.states, 1'000U);
  const auto three_and_one = explore(SemaphoreModel<3, 1, 1, 3>(Broken::nothing));
  EXPECT_EQ(three_and_one.complaint, "");
  const auto two_and_one = explore(SemaphoreModel<2, 3, 1, 6>(Broken::nothing));
  EXPECT_EQ(two_and_one.complaint, "");
}

TEST(LifoSemaphoreModel, each_rule_is_needed) {
  EXPECT_NE(explore(SemaphoreModel<2, 2, 2, 2>(Broken::changes_are_not_counted)).complaint, "");
  EXPECT_NE(explore(SemaphoreModel<2, 2, 2, 2>(Broken::tokens_are_not_looked_for)).complaint, "");
}

TEST(LifoSemaphore, a_token_waits_for_who_comes_later) {
  LifoSemaphore semaphore(1);
  semaphore.release();
  semaphore.acquire(0);
}

// Whether a thread of this process sleeps in the kernel.
bool is_asleep(pid_t thread) {
  std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  std::getline(stat, line);
  return line.find(") S ") != std::string::npos;
}

TEST(LifoSemaphore, wakes_who_went_to_sleep_last) {
  constexpr std::size_t kThreads = 3;
  LifoSemaphore semaphore(kThreads);
  std::atomic<int> woken{-1};
  std::vector<std::thread> threads;
  for (std::size_t number = 0; number < kThreads; ++number) {
    std::atomic<pid_t> id{0};
    threads.emplace_back([&semaphore, &woken, &id, number] {
      id.store(gettid());
      semaphore.acquire(number);  // nothing else makes it sleep
      woken.store(static_cast<int>(number));
    });
    ASSERT_TRUE(becomes_true([&id] { return id.load() != 0 && is_asleep(id.load()); }));
  }
  for (int expected = kThreads - 1; expected >= 0; --expected) {
    semaphore.release();
    ASSERT_TRUE(becomes_true([&] { return woken.load() == expected; })) << expected;
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(LifoSemaphore, many_threads_get_as_many_tokens_as_are_released) {
  constexpr std::size_t kThreads = 4;
  constexpr int kRounds = 20'000;
  LifoSemaphore semaphore(kThreads);
  std::atomic<int> tokens{0};  // released and not yet had; the semaphore may hold no more than this
  std::vector<std::thread> threads;
  for (std::size_t number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, number] {
      for (int i = 0; i < kRounds; ++i) {
        semaphore.acquire(number);
        EXPECT_GE(tokens.fetch_sub(1), 1);
      }
    });
  }
  std::vector<std::thread> releasers;
  for (int releaser = 0; releaser < 2; ++releaser) {
    releasers.emplace_back([&] {
      for (std::size_t i = 0; i < kThreads * kRounds / 2; ++i) {
        // Never more tokens than threads, as the pool has it.
        while (tokens.load() >= static_cast<int>(kThreads) - 1) std::this_thread::yield();
        tokens.fetch_add(1);
        semaphore.release();
      }
    });
  }
  for (std::thread& thread : releasers) thread.join();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(tokens.load(), 0);
}

}  // namespace
}  // namespace evpool
