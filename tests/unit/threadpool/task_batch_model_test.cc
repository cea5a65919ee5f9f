// TaskBatch's owner and thief (threadpool/task_batch.h), every interleaving, on a machine that
// delays the owner's stores as x86 and others may: they lie in its store buffer until they reach
// memory, any time later, and only the thief's membarrier forces them there.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/unit/threadpool/model_explorer.h"

namespace evpool {
namespace {

enum class Broken : std::uint8_t {
  nothing,
  no_membarrier,
  end_is_read_before_the_claim,
  frozen_is_not_looked_at,
};

template <int kTasks, int kSteals>
struct BatchModel {
  static constexpr int kProcesses = 3;  // the owner, the thief, the owner's store buffer

  enum OwnerStep : std::uint8_t {
    read,
    announce,
    look_frozen,
    look_end,
    lock,
    claim_again,
    unlock,
    ended,
  };
  enum ThiefStep : std::uint8_t {
    thief_lock,
    freeze,
    membarrier,
    thief_read,
    thief_steal,
    unfreeze,
    thief_unlock,
    thief_ended,
  };

  std::uint8_t memory_next = 0;
  std::uint8_t end = kTasks;
  std::uint8_t frozen = 0;
  std::uint8_t locked = 0;
  // The owner's pending store to next_; it sees it itself.
  std::uint8_t stored = 0;
  std::uint8_t stored_next = 0;

  std::uint8_t owner_at = read;
  std::uint8_t next = 0;      // the owner's
  std::uint8_t seen_end = 0;  // the owner's, where the rule is broken
  std::uint8_t thief_at = thief_lock;
  std::uint8_t steals_left = kSteals;
  std::uint8_t thief_next = 0;
  std::uint8_t claims[kTasks] = {};
  Broken broken = Broken::nothing;

  explicit BatchModel(Broken rule) : broken(rule) {}

  bool step(int process) {
    switch (process) {
      case 0:
        return step_owner();
      case 1:
        return step_thief();
      default:
        return flush();
    }
  }
  [[nodiscard]] std::string complaint() const {
    for (const std::uint8_t claimed : claims) {
      if (claimed > 1) return "a task was claimed twice";
    }
    return "";
  }
  [[nodiscard]] std::string end_complaint() const {
    if (owner_at != ended || thief_at != thief_ended) return "somebody is stuck";
    for (const std::uint8_t claimed : claims) {
      if (claimed != 1) return "a task was lost";
    }
    return "";
  }

 private:
  bool flush() {
    if (stored == 0) return false;
    memory_next = stored_next;
    stored = 0;
    return true;
  }
  // One store fits the buffer; a second waits for the first.
  bool store_next(std::uint8_t value) {
    if (stored != 0) return false;
    stored = 1;
    stored_next = value;
    return true;
  }
  // A locked instruction waits for the owner's stores.
  [[nodiscard]] bool drained() const { return stored == 0; }

  bool step_owner() {
    switch (owner_at) {
      case read:
        next = stored != 0 ? stored_next : memory_next;
        seen_end = end;
        owner_at = next >= end ? ended : announce;
        return true;
      case announce:
        if (!store_next(static_cast<std::uint8_t>(next + 1))) return false;
        owner_at = look_frozen;
        return true;
      case look_frozen:
        owner_at = frozen != 0 && broken != Broken::frozen_is_not_looked_at ? lock : look_end;
        return true;
      case look_end: {
        const std::uint8_t limit = broken == Broken::end_is_read_before_the_claim ? seen_end : end;
        if (next < limit) {
          ++claims[next];
          owner_at = read;
          return true;
        }
        // A sequentially consistent store: locked.
        if (!drained()) return false;
        memory_next = next;
        owner_at = read;
        return true;
      }
      case lock:
        if (!drained() || locked != 0) return false;
        locked = 1;
        owner_at = claim_again;
        return true;
      case claim_again:
        if (next < end) {
          ++claims[next];
          memory_next = static_cast<std::uint8_t>(next + 1);
        } else {
          memory_next = next;
        }
        owner_at = unlock;
        return true;
      case unlock:
        locked = 0;
        owner_at = read;
        return true;
      default:
        return false;
    }
  }

  bool step_thief() {
    switch (thief_at) {
      case thief_lock:
        if (steals_left == 0) {
          thief_at = thief_ended;
          return true;
        }
        if (locked != 0) return false;
        --steals_left;
        locked = 1;
        thief_at = freeze;
        return true;
      case freeze:
        frozen = 1;
        thief_at = membarrier;
        return true;
      case membarrier:
        if (broken != Broken::no_membarrier) flush();
        thief_at = thief_read;
        return true;
      case thief_read:
        thief_next = memory_next;
        thief_at = thief_next < end ? thief_steal : unfreeze;
        return true;
      case thief_steal:
        --end;
        ++claims[end];
        thief_at = unfreeze;
        return true;
      case unfreeze:
        frozen = 0;
        thief_at = thief_unlock;
        return true;
      case thief_unlock:
        locked = 0;
        thief_at = thief_lock;
        return true;
      default:
        return false;
    }
  }
};

TEST(TaskBatchModel, every_task_is_claimed_once) {
  EXPECT_EQ((explore(BatchModel<1, 2>(Broken::nothing)).complaint), "");
  EXPECT_EQ((explore(BatchModel<2, 3>(Broken::nothing)).complaint), "");
  const Exploration most = explore(BatchModel<4, 5>(Broken::nothing));
  EXPECT_EQ(most.complaint, "");
  EXPECT_GT(most.states, 100U);
}

TEST(TaskBatchModel, every_rule_is_needed) {
  for (const Broken rule : {Broken::no_membarrier, Broken::end_is_read_before_the_claim,
                            Broken::frozen_is_not_looked_at}) {
    EXPECT_NE((explore(BatchModel<2, 2>(rule)).complaint), "") << static_cast<int>(rule);
  }
}

}  // namespace
}  // namespace evpool
