// Parking's protocol (threadpool/parking.h), every interleaving of a few adders and workers. Each
// step below is one atomic operation there; loops of compare-and-swap are one step, because a
// failed attempt changes nothing. The queue is a count: a task added is one more, a task taken one
// less.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/unit/threadpool/model_explorer.h"

namespace evpool {
namespace {

// One rule left out, to see that the explorer finds what it is there for.
enum class Broken : std::uint8_t {
  nothing,
  no_look_after_announcing,
  no_look_after_the_last_search,
  no_wake_by_adders,
  wake_before_adding,
  no_look_whether_closed,
};

template <int kAdders, int kTasksEach, int kWorkers>
struct ParkingModel {
  static constexpr int kCloser = kAdders + kWorkers;
  static constexpr int kProcesses = kCloser + 1;

  enum AdderStep : std::uint8_t { add, wake, release, added_all };
  enum WorkerStep : std::uint8_t {
    take,
    begin_search,
    look,
    end_search,
    look_for_others,
    wake_another,
    release_another,
    announce_sleep,
    look_again,
    take_back_sleep,
    sleep,
    leave,
    left,
    busy,  // in a task that never ends
  };
  enum CloserStep : std::uint8_t { close, wake_all, release_all, closed_all };

  std::uint8_t step_of[kProcesses] = {};
  std::uint8_t tasks_left[kAdders] = {};
  std::uint8_t queued = 0;
  std::uint8_t searchers = 0;
  std::uint8_t sleepers = 0;
  std::uint8_t tokens = 0;
  std::uint8_t closed = 0;
  std::uint8_t to_release = 0;  // by the closer
  std::uint8_t closing = 0;     // whether this run closes at all
  std::uint8_t endless = 0;     // whether tasks never end
  Broken broken = Broken::nothing;

  ParkingModel(Broken rule, bool closes, bool endless_tasks)
      : closing(closes ? 1 : 0), endless(endless_tasks ? 1 : 0), broken(rule) {
    for (std::uint8_t& left_over : tasks_left) left_over = kTasksEach;
  }

  bool step(int process) {
    if (process < kAdders) return step_adder(step_of[process], tasks_left[process]);
    if (process < kCloser) return step_worker(step_of[process]);
    return step_closer(step_of[process]);
  }

  [[nodiscard]] std::string complaint() const {
    if (sleepers > kWorkers || searchers > kWorkers || tokens > kWorkers) return "a count is wrong";
    return "";
  }
  [[nodiscard]] std::string end_complaint() const {
    if (queued > 0 && endless == 0) return "a task waits and everybody sleeps";
    for (int worker = kAdders; worker < kCloser; ++worker) {
      if (step_of[worker] == busy) continue;
      if (queued > 0) return "a task waits, and a worker sleeps";
      if (closing != 0 && step_of[worker] != left) return "a worker never ends";
      if (closing == 0 && step_of[worker] != sleep) return "a worker is stuck";
    }
    if (tokens > 0) return "a token is left over";
    return "";
  }

 private:
  [[nodiscard]] WorkerStep run() const { return endless != 0 ? busy : take; }

  bool claim_sleeper() {
    if (sleepers == 0 || searchers > 0) return false;
    --sleepers;
    ++searchers;
    return true;
  }

  bool step_adder(std::uint8_t& at, std::uint8_t& tasks) {
    switch (at) {
      case add:
        if (tasks == 0 || closed != 0) {
          at = added_all;  // refused from now on
          return true;
        }
        if (broken == Broken::wake_before_adding) {
          at = claim_sleeper() ? release : wake;
          return true;
        }
        --tasks;
        ++queued;
        at = broken == Broken::no_wake_by_adders ? add : wake;
        return true;
      case wake:
        if (broken == Broken::wake_before_adding) {
          --tasks;
          ++queued;
          at = add;
          return true;
        }
        at = claim_sleeper() ? release : add;
        return true;
      case release:
        ++tokens;
        at = broken == Broken::wake_before_adding ? wake : add;
        return true;
      default:
        return false;
    }
  }

  bool step_worker(std::uint8_t& at) {
    switch (at) {
      case take:
        if (queued > 0) {
          --queued;
          at = run();
        } else {
          at = begin_search;
        }
        return true;
      case begin_search:
        ++searchers;
        at = look;
        return true;
      case look:
        if (queued > 0) {
          --queued;
          at = end_search;
        } else {
          at = announce_sleep;
        }
        return true;
      case end_search:
        at = searchers == 1 && sleepers > 0 && broken != Broken::no_look_after_the_last_search
                 ? look_for_others
                 : run();
        if (searchers > 0) --searchers;
        return true;
      case look_for_others:
        at = queued > 0 ? wake_another : run();
        return true;
      case wake_another:
        at = claim_sleeper() ? release_another : run();
        return true;
      case release_another:
        ++tokens;
        at = run();
        return true;
      case announce_sleep:
        if (searchers > 0) --searchers;
        ++sleepers;
        at = look_again;
        return true;
      case look_again: {
        const bool looks = broken != Broken::no_look_after_announcing;
        const bool looks_whether_closed = broken != Broken::no_look_whether_closed;
        const bool stays = (looks && queued > 0) || (looks_whether_closed && closed != 0);
        at = stays ? take_back_sleep : sleep;
        return true;
      }
      case take_back_sleep:
        if (sleepers > 0) {
          --sleepers;
          ++searchers;
          at = closed != 0 && queued == 0 ? leave : look;
        } else {
          at = sleep;  // woken already
        }
        return true;
      case sleep:
        if (tokens == 0) return false;
        --tokens;
        at = look;
        return true;
      case leave:
        if (searchers > 0) --searchers;
        at = left;
        return true;
      default:
        return false;
    }
  }

  bool step_closer(std::uint8_t& at) {
    if (closing == 0) return false;
    switch (at) {
      case close:
        closed = 1;
        at = wake_all;
        return true;
      case wake_all:
        to_release = sleepers;
        searchers = static_cast<std::uint8_t>(searchers + sleepers);
        sleepers = 0;
        at = release_all;
        return true;
      case release_all:
        tokens = static_cast<std::uint8_t>(tokens + to_release);
        at = closed_all;
        return true;
      default:
        return false;
    }
  }
};

template <int kAdders, int kTasksEach, int kWorkers>
Exploration explore_parking(Broken broken, bool closes = false, bool endless_tasks = false) {
  return explore(ParkingModel<kAdders, kTasksEach, kWorkers>(broken, closes, endless_tasks));
}

TEST(ParkingModel, loses_no_wake_up) {
  const Exploration few = explore_parking<2, 2, 2>(Broken::nothing);
  EXPECT_EQ(few.complaint, "");
  EXPECT_GT(few.ends, 0U);
  const Exploration more = explore_parking<2, 2, 3>(Broken::nothing);
  EXPECT_EQ(more.complaint, "");
  const Exploration adders = explore_parking<3, 1, 2>(Broken::nothing);
  EXPECT_EQ(adders.complaint, "");
  RecordProperty("states", static_cast<int>(few.states + more.states + adders.states));
}

TEST(ParkingModel, ends_every_worker_and_loses_no_task_when_closed_at_any_moment) {
  EXPECT_EQ((explore_parking<2, 2, 2>(Broken::nothing, true).complaint), "");
  EXPECT_EQ((explore_parking<1, 2, 3>(Broken::nothing, true).complaint), "");
}

// Stronger: however long tasks run, none waits while a worker sleeps.
TEST(ParkingModel, leaves_no_task_waiting_beside_a_sleeper_when_tasks_never_end) {
  EXPECT_EQ((explore_parking<1, 2, 2>(Broken::nothing, false, true).complaint), "");
  EXPECT_EQ((explore_parking<2, 1, 2>(Broken::nothing, false, true).complaint), "");
  EXPECT_EQ((explore_parking<3, 1, 3>(Broken::nothing, false, true).complaint), "");
  EXPECT_EQ((explore_parking<1, 3, 3>(Broken::nothing, false, true).complaint), "");
}

// Each rule is needed: without it, the explorer finds the lost wake-up.
TEST(ParkingModel, every_rule_is_needed) {
  for (const Broken rule :
       {Broken::no_look_after_announcing, Broken::no_wake_by_adders, Broken::wake_before_adding}) {
    EXPECT_NE((explore_parking<2, 2, 2>(rule).complaint), "") << static_cast<int>(rule);
  }
  EXPECT_NE((explore_parking<2, 2, 2>(Broken::no_look_whether_closed, true).complaint), "");
  EXPECT_NE(
      (explore_parking<1, 2, 2>(Broken::no_look_after_the_last_search, false, true).complaint), "");
}

}  // namespace
}  // namespace evpool
