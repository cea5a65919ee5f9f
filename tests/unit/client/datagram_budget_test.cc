#include "client/datagram_budget.h"

#include <gtest/gtest.h>

namespace evpool {
namespace {

// What Linux grants where nobody has raised net.core.rmem_max.
constexpr std::size_t kDefaultBuffer = 2 * 212'992;

std::size_t sent_until_full(DatagramBudget& budget, std::size_t request_bytes) {
  std::size_t sent = 0;
  for (; budget.has_room(request_bytes) && sent < 100'000; ++sent) budget.sent(request_bytes);
  return sent;
}

TEST(DatagramBudget, small_datagrams_fill_half_of_the_buffer_as_the_kernel_counts) {
  DatagramBudget budget(kDefaultBuffer);
  budget.received(35);
  const std::size_t sent = sent_until_full(budget, 35);
  EXPECT_LE(sent * 832, kDefaultBuffer / 2);
  EXPECT_GE(sent, 128U);
}

TEST(DatagramBudget, one_request_may_always_be_sent) {
  DatagramBudget budget(2'048);
  EXPECT_TRUE(budget.has_room(65'507));
  budget.sent(65'507);
  EXPECT_FALSE(budget.has_room(1));
  budget.ended(65'507);
  EXPECT_TRUE(budget.has_room(65'507));
}

TEST(DatagramBudget, large_requests_are_few_whatever_the_replies) {
  DatagramBudget budget(kDefaultBuffer);
  budget.received(24);
  EXPECT_LE(sent_until_full(budget, 16'000) * 16'640, kDefaultBuffer / 2);
}

TEST(DatagramBudget, large_replies_make_requests_few) {
  DatagramBudget budget(kDefaultBuffer);
  budget.received(60'000);
  EXPECT_LE(sent_until_full(budget, 30), 3U);
}

TEST(DatagramBudget, a_reply_is_taken_to_pass_any_network_until_one_has_come) {
  DatagramBudget budget(kDefaultBuffer);
  const std::size_t sent = sent_until_full(budget, 30);
  EXPECT_LE(sent * 2'304, kDefaultBuffer / 2);
  EXPECT_GE(sent, 32U);
}

TEST(DatagramBudget, forgets_a_large_reply_after_many_small_ones) {
  DatagramBudget budget(kDefaultBuffer);
  budget.received(60'000);
  for (int i = 0; i < 500; ++i) budget.received(30);
  EXPECT_LE(sent_until_full(budget, 30), 3U);
  for (int i = 0; i < 2'000; ++i) budget.received(30);
  EXPECT_GE(sent_until_full(budget, 30), 100U);
}

}  // namespace
}  // namespace evpool
