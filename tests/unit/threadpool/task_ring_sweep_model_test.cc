// TaskRing with a sweep (threadpool/task_ring_sweep.h), every interleaving of two adders, two
// takers, a sweeper, and somebody who cancels one task at any time.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/unit/threadpool/model_explorer.h"

namespace evpool {
namespace {

enum class Broken : std::uint8_t {
  nothing,
  takers_are_not_kept_away,
  a_gap_is_passed,
  the_head_is_set_before_the_moves,
};

// Tasks are numbered from 1 in the order of the adders' claims; 0 is no task.
template <int kCells, int kTasks, int kSweeps>
struct SweepModel {
  static constexpr int kProcesses = 6;
  static constexpr std::uint8_t kSwept = 0x80;

  enum AdderStep : std::uint8_t { add_read, add_look, add_claim, add_store };
  enum TakerStep : std::uint8_t { take_read, take_look, take_claim, take_move, take_give_back };
  enum SweeperStep : std::uint8_t {
    freeze,
    look,
    move,
    set_head,
    give_back,
    sweeper_ended,
  };

  std::uint8_t turn[kCells] = {};
  std::uint8_t task[kCells] = {};
  std::uint8_t head = 0;  // with kSwept
  std::uint8_t tail = 0;

  struct Adder {
    std::uint8_t at = add_read;
    std::uint8_t tail = 0;
  };
  Adder adders[2] = {};

  struct Taker {
    std::uint8_t at = take_read;
    std::uint8_t head = 0;
  };
  Taker takers[2] = {};

  std::uint8_t sweeper_at = freeze;
  std::uint8_t sweeps_left = kSweeps;
  std::uint8_t sweep_head = 0;
  std::uint8_t sweep_next = 0;  // the next to look at
  std::uint8_t sweep_end = 0;   // behind the last that was moved out
  std::uint8_t sweep_from = 0;
  std::uint8_t sweep_to = 0;
  std::uint8_t swept = 0;

  std::uint8_t cancelled = 0;  // a task's number
  std::uint8_t is_cancelled = 0;
  std::uint8_t claimed = 0;  // by a taker, the last task
  std::uint8_t overtaken = 0;
  std::uint8_t ends[kTasks] = {};  // how often each was moved out
  Broken broken = Broken::nothing;

  SweepModel(Broken rule, int to_cancel)
      : cancelled(static_cast<std::uint8_t>(to_cancel)), broken(rule) {}

  bool step(int process) {
    switch (process) {
      case 0:
      case 1:
        return step_adder(adders[process]);
      case 2:
      case 3:
        return step_taker(takers[process - 2]);
      case 4:
        return step_sweeper();
      default:
        if (is_cancelled != 0 || cancelled == 0) return false;
        is_cancelled = 1;
        return true;
    }
  }

  [[nodiscard]] std::string complaint() const {
    for (const std::uint8_t times : ends) {
      if (times > 1) return "a task ended twice";
    }
    if (overtaken != 0) return "a task overtook another";
    if (tail > (head & ~kSwept) + kCells) return "more wait than may";
    return "";
  }
  [[nodiscard]] std::string end_complaint() const {
    if (sweeper_at != sweeper_ended) return "the sweeper is stuck";
    for (const std::uint8_t times : ends) {
      if (times != 1) return "a task was lost";
    }
    return "";
  }

 private:
  static std::uint8_t byte(int value) { return static_cast<std::uint8_t>(value); }
  static std::uint8_t free_turn(int position) { return byte(position / kCells * kCells); }
  [[nodiscard]] bool is_free(int position) const {
    return turn[position % kCells] == free_turn(position);
  }
  [[nodiscard]] bool holds_task(int position) const {
    return turn[position % kCells] == free_turn(position) + 1;
  }
  void end(std::uint8_t number) {
    if (number != 0) ++ends[number - 1];
  }

  bool step_adder(Adder& adder) {
    switch (adder.at) {
      case add_read:
        if (tail == kTasks) return false;
        adder.tail = tail;
        adder.at = add_look;
        return true;
      case add_look:
        if (adder.tail != tail) {
          adder.at = add_read;
          return true;
        }
        // Full: it waits, which leaves out only turns without effect.
        if (tail - (head & ~kSwept) >= kCells || !is_free(tail)) return false;
        adder.at = add_claim;
        return true;
      case add_claim:
        adder.at = add_read;
        if (adder.tail != tail) return true;
        ++tail;
        adder.at = add_store;
        return true;
      default:
        task[adder.tail % kCells] = byte(adder.tail + 1);
        turn[adder.tail % kCells] = byte(free_turn(adder.tail) + 1);
        adder.at = add_read;
        return true;
    }
  }

  bool step_taker(Taker& taker) {
    switch (taker.at) {
      case take_read:
        // Where it would find nothing it waits, which leaves out only turns without effect.
        if ((head & kSwept) != 0 || !holds_task(head)) return false;
        taker.head = head;
        taker.at = take_look;
        return true;
      case take_look:
        taker.at = holds_task(taker.head) ? take_claim : take_read;
        return true;
      case take_claim:
        taker.at = take_read;
        if (head != taker.head) return true;
        head = byte(taker.head + 1);
        if (task[taker.head % kCells] <= claimed) overtaken = 1;
        claimed = task[taker.head % kCells];
        taker.at = take_move;
        return true;
      case take_move:
        end(task[taker.head % kCells]);
        task[taker.head % kCells] = 0;
        taker.at = take_give_back;
        return true;
      default:
        turn[taker.head % kCells] = byte(free_turn(taker.head) + kCells);
        taker.at = take_read;
        return true;
    }
  }

  bool step_sweeper() {
    switch (sweeper_at) {
      case freeze:
        sweep_head = head;
        sweep_next = sweep_end = sweep_head;
        swept = 0;
        if (broken != Broken::takers_are_not_kept_away) head |= kSwept;
        sweeper_at = look;
        return true;
      case look: {
        const bool in_ring = sweep_next < sweep_head + kCells;
        const bool goes_on = broken == Broken::a_gap_is_passed ? in_ring && sweep_next < tail
                                                               : in_ring && holds_task(sweep_next);
        if (!goes_on) {
          sweep_from = sweep_to = sweep_end;
          sweeper_at = broken == Broken::the_head_is_set_before_the_moves ? set_head : move;
          return true;
        }
        std::uint8_t& there = task[sweep_next % kCells];
        ++sweep_next;
        if (is_cancelled != 0 && there == cancelled) {
          end(there);
          there = 0;
          ++swept;
          sweep_end = sweep_next;
        }
        return true;
      }
      case move: {
        if (sweep_from == sweep_head) {
          sweeper_at = broken == Broken::the_head_is_set_before_the_moves ? give_back : set_head;
          return true;
        }
        --sweep_from;
        std::uint8_t& there = task[sweep_from % kCells];
        if (there == 0 || sweep_from == --sweep_to) return true;
        task[sweep_to % kCells] = there;
        there = 0;
        return true;
      }
      case set_head:
        head = byte(sweep_head + swept);
        sweeper_at = broken == Broken::the_head_is_set_before_the_moves ? move : give_back;
        return true;
      case give_back:
        if (swept > 0) {
          turn[sweep_head % kCells] = byte(free_turn(sweep_head) + kCells);
          ++sweep_head;
          --swept;
          return true;
        }
        sweeper_at = --sweeps_left > 0 ? freeze : sweeper_ended;
        return true;
      default:
        return false;
    }
  }
};

TEST(TaskRingSweepModel, every_task_ends_once_and_in_its_order) {
  for (const int cancelled : {0, 1, 2}) {
    EXPECT_EQ((explore(SweepModel<2, 2, 2>(Broken::nothing, cancelled)).complaint), "");
    EXPECT_EQ((explore(SweepModel<4, 2, 1>(Broken::nothing, cancelled)).complaint), "");
  }
  const Exploration most = explore(SweepModel<2, 3, 1>(Broken::nothing, 2));
  EXPECT_EQ(most.complaint, "");
  EXPECT_GT(most.states, 100'000U);
}

TEST(TaskRingSweepModel, every_rule_is_needed) {
  for (const Broken rule : {Broken::takers_are_not_kept_away, Broken::a_gap_is_passed,
                            Broken::the_head_is_set_before_the_moves}) {
    EXPECT_NE((explore(SweepModel<4, 3, 1>(rule, 2)).complaint), "") << static_cast<int>(rule);
  }
}

}  // namespace
}  // namespace evpool
