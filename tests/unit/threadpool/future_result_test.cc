// What kinds of results a future can have: references, and values that allow little.
#include <gtest/gtest.h>

#include <concepts>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "threadpool/future.h"
#include "threadpool/thread_pool.h"

namespace evpool {
namespace {

template <typename Callable>
using FutureOf = decltype(submit(std::declval<ThreadPool&>(), std::declval<Callable>()).future);

class FutureResult : public testing::Test {
 protected:
  template <typename Callable>
  auto submit_added(Callable callable) {
    auto submitted = submit(*pool_, std::move(callable));
    EXPECT_EQ(submitted.added, AddResult::added);
    return std::move(submitted.future);
  }

 private:
  std::unique_ptr<ThreadPool> pool_ = ThreadPool::create({.workers = 1});
};

TEST_F(FutureResult, a_reference_is_the_very_object) {
  int number = 1;
  auto future = submit_added([&number]() -> int& { return number; });
  static_assert(std::same_as<decltype(future), Future<int&>>);
  static_assert(std::same_as<decltype(future.get()), int&>);
  int& got = future.get();
  EXPECT_EQ(&got, &number);
}

TEST_F(FutureResult, a_const_reference_is_the_very_object) {
  const std::vector<int> numbers = {1, 2, 3};
  auto future = submit_added([&numbers]() -> const std::vector<int>& { return numbers; });
  static_assert(std::same_as<decltype(future), Future<const std::vector<int>&>>);
  EXPECT_EQ(&future.get(), &numbers);
}

struct Shape {
  Shape() = default;
  Shape(const Shape&) = delete;
  Shape& operator=(const Shape&) = delete;
  virtual ~Shape() = default;
  [[nodiscard]] virtual std::string name() const = 0;
};
struct Circle : Shape {
  [[nodiscard]] std::string name() const override { return "circle"; }
};

TEST_F(FutureResult, a_reference_to_a_base_class_is_not_sliced) {
  Circle circle;
  EXPECT_EQ(submit_added([&circle]() -> Shape& { return circle; }).get().name(), "circle");
  EXPECT_EQ(submit_added([&circle]() -> const Shape& { return circle; }).get().name(), "circle");
}

struct Base {
  virtual ~Base() = default;
  [[nodiscard]] virtual int kind() const { return 0; }
};
struct Derived : Base {
  [[nodiscard]] int kind() const override { return 1; }
};

TEST_F(FutureResult, a_reference_to_a_copyable_base_class_is_not_sliced) {
  Derived derived;
  EXPECT_EQ(submit_added([&derived]() -> Base& { return derived; }).get().kind(), 1);
}

TEST_F(FutureResult, references_may_be_to_arrays_functions_and_what_hides_its_address) {
  struct HidesItsAddress {
    HidesItsAddress* operator&() { return nullptr; }  // NOLINT(google-runtime-operator)
  };
  HidesItsAddress hidden;
  int array[3] = {1, 2, 3};
  EXPECT_EQ(submit_added([&array]() -> int(&)[3] { return array; }).get()[2], 3);
  EXPECT_EQ(std::addressof(submit_added([&hidden]() -> HidesItsAddress& { return hidden; }).get()),
            std::addressof(hidden));
  auto function = submit_added([]() -> Deadline (&)() { return Deadline::clock::now; });
  EXPECT_GT(function.get()(), Deadline());
}

TEST_F(FutureResult, a_callable_with_a_stop_token_may_return_a_reference) {
  int number = 1;
  auto future = submit_added([&number](const std::stop_token&) -> int& { return number; });
  EXPECT_EQ(&future.get(), &number);
}

TEST_F(FutureResult, a_callable_that_should_return_a_reference_may_throw) {
  auto future = submit_added([]() -> int& { throw std::runtime_error("none"); });
  EXPECT_THROW(static_cast<void>(future.get()), std::runtime_error);
}

int global_number = 0;
int& number_of_the_program() { return global_number; }

TEST_F(FutureResult, a_function_may_return_a_reference) {
  EXPECT_EQ(&submit_added(number_of_the_program).get(), &global_number);
}

TEST_F(FutureResult, a_value_needs_a_move_constructor_and_nothing_else) {
  struct MoveOnly {
    explicit MoveOnly(int given) : number(given) {}
    MoveOnly(MoveOnly&&) = default;
    MoveOnly& operator=(MoveOnly&&) = delete;
    int number;
  };
  EXPECT_EQ(submit_added([] { return MoveOnly(3); }).get().number, 3);
  EXPECT_EQ(*submit_added([] { return std::make_unique<int>(4); }).get(), 4);
}

TEST_F(FutureResult, a_const_value_can_be_moved_out) {
  // NOLINTNEXTLINE(readability-const-return-type): it is what is tested
  auto future =
      submit_added([]() -> const std::unique_ptr<int> { return std::make_unique<int>(5); });
  static_assert(std::same_as<decltype(future), Future<std::unique_ptr<int>>>);
  EXPECT_EQ(*future.get(), 5);
}

TEST_F(FutureResult, a_member_of_the_callable_may_be_returned_by_reference_while_it_lives) {
  struct Counter {
    std::shared_ptr<int> number;
    int& operator()() const { return ++*number; }
  };
  const auto number = std::make_shared<int>(6);
  EXPECT_EQ(&submit_added(Counter{number}).get(), number.get());
  EXPECT_EQ(*number, 7);
}

// Kept by a task without a future: its result is dropped, and was copied by boxed() once.
TEST_F(FutureResult, a_boxed_task_copies_no_reference) {
  Circle circle;
  auto box = boxed([&circle]() -> Shape& { return circle; });
  static_assert(std::same_as<decltype(box()), Shape&>);
  EXPECT_EQ(&box(), &circle);
}

static_assert(std::same_as<FutureOf<void (*)()>, Future<void>>);
static_assert(std::same_as<FutureOf<const std::string (*)()>, Future<std::string>>);
static_assert(std::same_as<FutureOf<const int& (*)()>, Future<const int&>>);

}  // namespace
}  // namespace evpool
