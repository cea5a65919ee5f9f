// Servers that stop answering while the load generator goes on: what was measured until then is not
// what they serve.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>

#include "bench/load/generator.h"
#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/load_testing.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kAnswered = 20;

// Answers the first of them, and nothing more.
AnsweringServer::Handler hangs_after(std::uint64_t requests) {
  return [requests, seen = std::uint64_t{0}](const Frame& request) mutable {
    return ++seen <= requests ? honest(request) : mute(request);
  };
}

class Silence : public testing::TestWithParam<Way> {
 protected:
  [[nodiscard]] LoadOptions options_for(const Address& server) const {
    LoadOptions options = all_measured(server, GetParam().transport);
    options.in_flight = 4;
    // Longer than a slow machine takes for the first requests, and short beside the run.
    options.timeout = 40ms;
    options.duration = 400ms;
    if (GetParam().open_loop) options.rate = 1'000;
    return options;
  }
  const bool udp = GetParam().transport == Transport::udp;
};
INSTANTIATE_TEST_SUITE_P(Over, Silence, kEveryWay, name_of_way);

TEST_P(Silence, of_a_server_that_hangs_is_part_of_the_time_and_a_fault) {
  AnsweringServer server(udp, hangs_after(kAnswered));
  const LoadResult result = run_load(options_for(server.address()));
  server.stop();
  expect_balance(result);
  ASSERT_GT(result.account.ok, 0U);
  ASSERT_LE(result.account.ok, kAnswered);
  EXPECT_GE(result.seconds, 0.4);
  EXPECT_LE(result.jobs_per_second(), kAnswered / 0.4);
  EXPECT_GT(result.silent_s, 0.04);
  EXPECT_TRUE(is_invalid_for(result, "the server answered nothing in the last "));
}

TEST_P(Silence, until_an_interrupt_is_part_of_the_time) {
  AnsweringServer server(udp, hangs_after(kAnswered));
  LoadOptions options = options_for(server.address());
  options.duration = kNeverLate;
  options.interval = 200ms;
  RunControl control;
  control.on_interval = [&](const Progress&) { control.stop_requests.store(1); };
  const LoadResult result = run_load(options, control);
  expect_balance(result);
  EXPECT_GE(result.seconds, 0.2);
  EXPECT_TRUE(is_invalid_for(result, "the server answered nothing in the last "));
}

TEST_P(Silence, until_the_last_of_a_count_is_part_of_the_time) {
  AnsweringServer server(udp, hangs_after(kAnswered));
  LoadOptions options = options_for(server.address());
  options.in_flight = 1;
  options.duration = kNeverLate;
  options.count = kAnswered + 6;
  const LoadResult result = run_load(options);
  expect_balance(result);
  // The first of six finds its place free, and in a closed loop each other one waits for it.
  const double last_sent_s = GetParam().open_loop ? 0.020 : 5 * 0.040;
  EXPECT_GE(result.seconds, last_sent_s);
}

TEST(SilenceOverUdp, of_two_datagrams_that_were_lost_is_no_fault) {
  // The first two of three in a closed loop, the last ones of the run.
  AnsweringServer server(true, hangs_after(kAnswered));
  LoadOptions options = all_measured(server.address(), Transport::udp);
  options.duration = 100ms;
  options.timeout = 60ms;
  const LoadResult result = run_load(options);
  expect_balance(result);
  ASSERT_LE(result.account.lost, 2U);
  EXPECT_EQ(result.silent_s, 0);
  EXPECT_FALSE(is_invalid_for(result, "the server answered nothing in the last "));
}

// --- The series ---

TEST(Series, has_no_interval_in_which_nothing_can_have_happened) {
  // The last reply comes before the last interval has ended, and the run ends when the next begins.
  AnsweringServer server(false, honest);
  LoadOptions options = all_measured(server.address(), Transport::tcp);
  options.rate = 500;
  options.arrivals = Arrivals::constant;
  options.duration = 100ms;
  options.interval = 50ms;
  const LoadResult result = run_load(options);
  expect_balance(result);
  ASSERT_GE(result.series.size(), 2U);
  for (const IntervalRow& row : result.series) {
    EXPECT_TRUE(row.begin_s < 0.1 || row.sent + row.ok > 0) << row.begin_s;
    EXPECT_GE(row.length_s, 1e-6);
  }
}

TEST(Series, goes_on_while_lost_replies_are_waited_for) {
  AnsweringServer server(false, mute);
  LoadOptions options = all_measured(server.address(), Transport::tcp);
  options.duration = 20ms;
  options.timeout = 90ms;
  options.interval = 30ms;
  const LoadResult result = run_load(options);
  expect_balance(result);
  const IntervalRow& last = result.series.back();
  EXPECT_EQ(last.lost, 1U);
  EXPECT_GE(last.begin_s + last.length_s, 0.090);
}

}  // namespace
}  // namespace evpool::bench
