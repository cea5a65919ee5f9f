// The load generator's account of a lossy network, against what was done to its datagrams.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/load_testing.h"
#include "tests/unit/bench/lossy_relay.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kRequests = 400;

// Never more at once than a UDP socket has room for, so that the kernel loses nothing.
LoadOptions over(const LossyRelay& relay) {
  LoadOptions options = all_measured(relay.address(), Transport::udp);
  options.rate = 4'000;
  options.in_flight = 200;
  options.duration = kNeverLate;
  options.count = kRequests;
  options.timeout = 500ms;
  return options;
}

struct Relayed {
  LossyRelay::Plan plan;
  std::string name;
};

using enum LossyRelay::Fate;

LossyRelay::Plan only(std::initializer_list<LossyRelay::Fate> fates, double share) {
  LossyRelay::Plan plan{.requests = kRequests};
  for (const LossyRelay::Fate fate : fates) plan.shares.at(fate) = share;
  return plan;
}

class Relay : public testing::TestWithParam<Relayed> {};
INSTANTIATE_TEST_SUITE_P(
    Which, Relay,
    testing::Values(Relayed{only({request_dropped, reply_dropped}, 0.1), "drops"},
                    Relayed{only({request_doubled, reply_doubled}, 0.2), "doubles"},
                    Relayed{only({request_delayed, reply_delayed}, 0.2), "reorders"},
                    Relayed{only({reply_corrupted, reply_misnamed}, 0.1), "damages"},
                    Relayed{only({request_dropped, request_doubled, request_delayed, reply_dropped,
                                  reply_doubled, reply_delayed, reply_corrupted, reply_misnamed},
                                 0.06),
                            "does_all_of_this"}),
    [](const auto& relay) { return relay.param.name; });

TEST_P(Relay, is_accounted_for_exactly) {
  AnsweringServer server(true, honest);
  LossyRelay relay(server.address(), GetParam().plan);
  const LoadResult result = run_load(over(relay));
  relay.stop();
  server.stop();
  expect_balance(result);
  const Account& account = result.account;
  const auto count = [&](LossyRelay::Fate fate) { return relay.count(fate); };
  EXPECT_EQ(account.sent, kRequests);
  EXPECT_EQ(account.lost, count(request_dropped) + count(reply_dropped) + count(reply_misnamed));
  EXPECT_EQ(account.duplicates, count(request_doubled) + count(reply_doubled));
  EXPECT_EQ(account.wrong, count(reply_corrupted));
  EXPECT_EQ(account.unknown, count(reply_misnamed));
  EXPECT_EQ(account.ok, count(untouched) + count(request_doubled) + count(reply_doubled) +
                            count(request_delayed) + count(reply_delayed));
  EXPECT_EQ(account.late, 0U);
  EXPECT_EQ(account.malformed, 0U);
  EXPECT_EQ(account.kernel_drops, 0U);
  EXPECT_EQ(account.all_refused(), 0U);
  // That the relay did what it was to.
  for (std::size_t fate = 1; fate < LossyRelay::kFates; ++fate) {
    if (GetParam().plan.shares.at(fate) > 0) {
      EXPECT_GE(count(static_cast<LossyRelay::Fate>(fate)), 8U) << fate;
    }
  }
}

}  // namespace
}  // namespace evpool::bench
