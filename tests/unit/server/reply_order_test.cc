#include "server/reply_order.h"

#include <gtest/gtest.h>

namespace evpool {
namespace {

std::string take_all(ReplyOrder& order) {
  std::string all;
  std::string bytes;
  while (order.take_next(bytes)) all += bytes;
  return all;
}

TEST(ReplyOrder, gives_nothing_before_the_first) {
  ReplyOrder order;
  EXPECT_EQ(take_all(order), "");
  order.add(1, "b");
  EXPECT_EQ(take_all(order), "");
}

TEST(ReplyOrder, gives_each_in_its_turn) {
  ReplyOrder order;
  order.add(2, "c");
  order.add(0, "a");
  EXPECT_EQ(take_all(order), "a");
  order.add(1, "b");
  EXPECT_EQ(take_all(order), "bc");
  order.add(3, "d");
  EXPECT_EQ(take_all(order), "d");
}

TEST(ReplyOrder, an_empty_answer_has_its_turn_too) {
  ReplyOrder order;
  order.add(0, "");
  order.add(1, "b");
  EXPECT_EQ(take_all(order), "b");
}

}  // namespace
}  // namespace evpool
