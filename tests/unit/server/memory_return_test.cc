#include "server/memory_return.h"

#include <gtest/gtest.h>

#include "server/spare_bodies.h"

namespace evpool {
namespace {

class MemoryReturnTest : public testing::Test {
 protected:
  MemoryReturnTest() {
    memory_.set_owner([this] { ++calls_; });
  }

  MemoryReturn memory_;
  int calls_ = 0;
};

TEST_F(MemoryReturnTest, calls_its_owner_once_when_enough_was_freed) {
  memory_.count_freed(MemoryReturn::kWorthBytes - 1);
  EXPECT_EQ(calls_, 0);
  memory_.count_freed(1);
  EXPECT_EQ(calls_, 1);
  memory_.count_freed(10 * MemoryReturn::kWorthBytes);
  EXPECT_EQ(calls_, 1);
}

TEST_F(MemoryReturnTest, gives_back_in_the_first_interval_in_which_little_is_freed) {
  memory_.count_freed(MemoryReturn::kWorthBytes);
  EXPECT_FALSE(memory_.look()) << "that was a moment ago";
  memory_.count_freed(MemoryReturn::kCalmBytes + 1);
  EXPECT_FALSE(memory_.look()) << "load goes on";
  memory_.count_freed(MemoryReturn::kCalmBytes);
  EXPECT_TRUE(memory_.look());
}

TEST_F(MemoryReturnTest, begins_anew_when_memory_was_given_back) {
  for (int time = 1; time <= 3; ++time) {
    memory_.count_freed(MemoryReturn::kWorthBytes);
    EXPECT_EQ(calls_, time);
    EXPECT_FALSE(memory_.look());
    EXPECT_TRUE(memory_.look());
  }
}

TEST(SpareBodiesMemory, is_counted_when_it_comes_back_and_freed_when_load_has_gone) {
  SpareBodies spare;
  int calls = 0;
  spare.memory().set_owner([&calls] { ++calls; });
  std::string body;
  body.reserve(MemoryReturn::kWorthBytes);
  spare.give_back(std::move(body));
  EXPECT_EQ(calls, 1);
  EXPECT_GE(spare.kept_bytes(), MemoryReturn::kWorthBytes);
  spare.clear();
  EXPECT_EQ(spare.kept_bytes(), 0U);
}

}  // namespace
}  // namespace evpool
