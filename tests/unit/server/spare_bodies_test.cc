#include "server/spare_bodies.h"

#include <gtest/gtest.h>

#include <utility>

namespace evpool {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;

TEST(SpareBodies, gives_the_memory_that_it_was_given) {
  SpareBodies spare;
  std::string body = spare.take(kMiB);
  EXPECT_GE(body.capacity(), kMiB);
  body.assign(kMiB, 'x');
  const char* const at = body.data();
  spare.give_back(std::move(body));
  const std::string again = spare.take(kMiB - 1);
  EXPECT_EQ(again.data(), at);
  EXPECT_TRUE(again.empty());
  EXPECT_NE(spare.take(kMiB).data(), at) << "given twice";
}

TEST(SpareBodies, gives_nothing_too_small_and_nothing_much_too_large) {
  SpareBodies spare;
  std::string body = spare.take(kMiB);
  const char* const at = body.data();
  spare.give_back(std::move(body));
  EXPECT_NE(spare.take(2 * kMiB).data(), at);
  EXPECT_NE(spare.take(kMiB / 4).data(), at);
  EXPECT_EQ(spare.take(kMiB).data(), at);
}

TEST(SpareBodies, keeps_no_more_than_its_bound_and_the_latest) {
  SpareBodies spare;
  constexpr std::size_t kHalf = SpareBodies::kMaxKeptBytes / 2;
  std::string first = spare.take(kHalf);
  std::string second = spare.take(kHalf - kMiB);
  std::string third = spare.take(kHalf / 2);
  const char* const second_at = second.data();
  const char* const third_at = third.data();
  spare.give_back(std::move(first));
  spare.give_back(std::move(second));
  EXPECT_EQ(spare.kept_bytes(), 2 * kHalf - kMiB);
  spare.give_back(std::move(third));
  EXPECT_EQ(spare.kept_bytes(), kHalf - kMiB + kHalf / 2) << "the first had to go";
  EXPECT_EQ(spare.take(kHalf / 2).data(), third_at);
  EXPECT_EQ(spare.take(kHalf - kMiB).data(), second_at);
  EXPECT_EQ(spare.kept_bytes(), 0U);

  std::string over;
  over.reserve(SpareBodies::kMaxKeptBytes + 1);
  spare.give_back(std::move(over));
  std::string small;
  small.reserve(1'000);
  spare.give_back(std::move(small));
  EXPECT_EQ(spare.kept_bytes(), 0U);
}

}  // namespace
}  // namespace evpool
