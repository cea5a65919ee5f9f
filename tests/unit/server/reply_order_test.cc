#include "server/reply_order.h"

#include <gtest/gtest.h>

namespace evpool {
namespace {

// All that can be passed on once this answer has come.
std::string pass_on(ReplyOrder& order, std::uint64_t id, std::string_view bytes) {
  if (!order.is_next(id, bytes)) return {};
  std::string all(bytes);
  std::string more;
  while (order.take_next(more)) all += more;
  return all;
}

TEST(ReplyOrder, gives_nothing_before_the_first) {
  ReplyOrder order;
  std::string bytes;
  EXPECT_FALSE(order.take_next(bytes));
  EXPECT_EQ(pass_on(order, 1, "b"), "");
  EXPECT_FALSE(order.take_next(bytes));
}

TEST(ReplyOrder, gives_each_in_its_turn) {
  ReplyOrder order;
  EXPECT_EQ(pass_on(order, 2, "c"), "");
  EXPECT_EQ(pass_on(order, 0, "a"), "a");
  EXPECT_EQ(pass_on(order, 1, "b"), "bc");
  EXPECT_EQ(pass_on(order, 3, "d"), "d");
}

TEST(ReplyOrder, an_empty_answer_has_its_turn_too) {
  ReplyOrder order;
  EXPECT_EQ(pass_on(order, 0, ""), "");
  EXPECT_EQ(pass_on(order, 1, "b"), "b");
}

}  // namespace
}  // namespace evpool
