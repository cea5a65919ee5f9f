#include "threadpool/task.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <utility>

namespace evpool {
namespace {

struct Counts {
  int run = 0;
  int discarded = 0;
  int destroyed = 0;
};

class Counting {
 public:
  explicit Counting(Counts& counts) : counts_(&counts) {}
  Counting(Counting&& other) noexcept : counts_(std::exchange(other.counts_, nullptr)) {}
  Counting& operator=(Counting&&) = delete;
  ~Counting() {
    if (counts_ != nullptr) ++counts_->destroyed;
  }
  void operator()() { ++counts_->run; }
  void discard() noexcept { ++counts_->discarded; }

 private:
  Counts* counts_;
};

TEST(Task, runs_what_it_was_made_of) {
  int runs = 0;
  Task task([&runs] { ++runs; });
  task.run();
  EXPECT_EQ(runs, 1);
}

int function_runs = 0;
void count_run() { ++function_runs; }

TEST(Task, runs_a_plain_function_boxed_or_not) {
  Task task(count_run);
  task.run();
  Task by_pointer(&count_run);
  by_pointer.run();
  Task in_a_box(boxed(count_run));
  in_a_box.run();
  EXPECT_EQ(function_runs, 3);
}

TEST(Task, holds_a_move_only_callable) {
  auto value = std::make_unique<int>(7);
  int seen = 0;
  Task task([value = std::move(value), &seen] { seen = *value; });
  task.run();
  EXPECT_EQ(seen, 7);
}

TEST(Task, holds_48_bytes) {
  std::array<char, 48 - sizeof(void*)> filler{};
  filler.back() = 'x';
  char seen = 0;
  auto callable = [filler, &seen] { seen = filler.back(); };
  static_assert(sizeof(callable) == Task::kInlineBytes);
  Task task(callable);
  Task moved(std::move(task));
  moved.run();
  EXPECT_EQ(seen, 'x');
}

TEST(Task, destroys_its_callable_once_however_often_it_is_moved) {
  Counts counts;
  {
    Task task{Counting(counts)};
    Task moved(std::move(task));
    Task assigned;
    assigned = std::move(moved);
    EXPECT_FALSE(static_cast<bool>(moved));  // NOLINT(bugprone-use-after-move): that is the test
    EXPECT_EQ(counts.destroyed, 0);
  }
  EXPECT_EQ(counts.destroyed, 1);
  EXPECT_EQ(counts.run, 0);
  EXPECT_EQ(counts.discarded, 0);
}

TEST(Task, destroys_what_it_held_when_another_is_moved_in) {
  Counts first;
  Counts second;
  Task task{Counting(first)};
  task = Task{Counting(second)};
  EXPECT_EQ(first.destroyed, 1);
  EXPECT_EQ(second.destroyed, 0);
}

TEST(Task, tells_a_callable_that_wants_to_know_of_its_discard) {
  Counts counts;
  Task task{Counting(counts)};
  task.discard();
  EXPECT_EQ(counts.discarded, 1);
  EXPECT_EQ(counts.run, 0);
  Task indifferent([] {});
  indifferent.discard();
}

TEST(Task, is_empty_until_it_is_given_something_and_after_reset) {
  Task task;
  EXPECT_FALSE(static_cast<bool>(task));
  task = Task([] {});
  EXPECT_TRUE(static_cast<bool>(task));
  task.reset();
  EXPECT_FALSE(static_cast<bool>(task));
}

}  // namespace
}  // namespace evpool
