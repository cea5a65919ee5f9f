#include "bench/load/slo.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace evpool::bench {
namespace {

// 1,000 due, 999 answered: one at 1 ms for each per mille, up to 999 ms; one lost.
LoadResult thousand() {
  LoadResult result;
  result.account.scheduled = result.account.sent = 1'000;
  result.account.ok = 999;
  result.account.lost = 1;
  for (std::uint64_t ms = 1; ms <= 999; ++ms) result.latency.record(ms * 1'000'000);
  return result;
}

TEST(Slo, holds_when_every_bound_does) {
  EXPECT_EQ(
      Slo("p50<510ms,p99<1s,p99.9<1s,max<999001us,mean<501ms,loss<0.2%").broken_by(thousand()),
      std::nullopt);
}

TEST(Slo, names_the_first_bound_that_is_broken_and_by_how_much) {
  EXPECT_EQ(Slo("p50<1s,p99<900ms,max<1ms").broken_by(thousand()).value().substr(0, 4), "p99 ");
  EXPECT_EQ(Slo("max<999ms").broken_by(thousand()), "max 999.000 ms");
  EXPECT_EQ(Slo("mean<500ms").broken_by(thousand()), "mean 500.000 ms");
  EXPECT_EQ(Slo("loss<0.1%").broken_by(thousand()), "loss 0.1 %") << "below means below";
}

TEST(Slo, everything_without_a_right_answer_is_loss) {
  LoadResult result = thousand();
  result.account = {};
  result.account.scheduled = 10;
  result.account.ok = 5;
  result.account.skipped = 1;
  result.account.wrong = 1;
  result.account.lost = 1;
  result.account.unresolved = 1;
  result.account.refused[static_cast<std::size_t>(Status::busy)] = 1;
  EXPECT_DOUBLE_EQ(loss_of(result), 0.5);
  EXPECT_EQ(Slo("loss<0.51").broken_by(result), std::nullopt);
}

TEST(Slo, no_loss_at_all_holds_any_bound_of_it) {
  LoadResult result = thousand();
  result.account.ok = 1'000;
  EXPECT_EQ(Slo("loss<0").broken_by(result), std::nullopt);
  EXPECT_NE(Slo("loss<0").broken_by(thousand()), std::nullopt);
}

TEST(Slo, refuses_what_is_no_bound) {
  for (const char* text :
       {"",          "p99",      "p99<",     "p99<2",    "p99<2m",  "p99<-1ms", "p0<1ms",
        "p101<1ms",  "p9x<1ms",  "loss<1ms", "p99<0ms",  "max<0s",  "max<infs", "loss<101%",
        "loss<1.01", "loss<100", "rate<1ms", "p99<2ms,", "p99>2ms", "<2ms"}) {
    EXPECT_THROW(Slo{text}, std::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace evpool::bench
