#include "bench/floors_report.h"

#include <gtest/gtest.h>

#include <vector>

namespace evpool::bench {
namespace {

TEST(FloorsReport, of_what_was_interrupted_only_finished_rounds_are_kept) {
  std::vector<FloorsRow> rows(3);
  rows[0].row.name = "tcp-1x1";
  rows[0].rounds[kFloor].resize(3);
  rows[0].rounds[kHop].resize(2);
  rows[0].rounds[kEvpool].resize(2);
  rows[1].rounds[kFloor].resize(1);
  keep_finished(rows);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].row.name, "tcp-1x1");
  for (const auto& rounds : rows[0].rounds) EXPECT_EQ(rounds.size(), 2U);
}

}  // namespace
}  // namespace evpool::bench
