// What the load generator itself is late, and who is told: the lag, not the server's latency.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "bench/null_server.h"
#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/load_testing.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

// Frames, each of which takes the generator a known time to make.
class LaboriousDialect : public Dialect {
 public:
  static constexpr std::chrono::microseconds kWork{100};

  void append_requests(std::span<const OutgoingRequest> requests, SendBuffer& out) const override {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const auto begin = std::chrono::steady_clock::now();
      while (std::chrono::steady_clock::now() - begin < kWork) {
      }
    }
    frames_->append_requests(requests, out);
  }
  [[nodiscard]] std::unique_ptr<ReplyReader> make_reader() const override {
    return frames_->make_reader();
  }
  bool read_datagram(std::string_view datagram, IncomingReply& reply) const override {
    return frames_->read_datagram(datagram, reply);
  }

 private:
  const std::unique_ptr<Dialect> frames_ = make_frame_dialect();
};

class OwnDelay : public testing::TestWithParam<Transport> {};
INSTANTIATE_TEST_SUITE_P(Over, OwnDelay, testing::Values(Transport::tcp, Transport::udp),
                         [](const auto& over) {
                           return over.param == Transport::udp ? "udp" : "tcp";
                         });

TEST_P(OwnDelay, in_making_a_burst_is_the_lag_of_its_later_requests) {
  constexpr std::uint64_t kBurst = 1'000;
  AnsweringServer server(GetParam() == Transport::udp, honest);
  LoadOptions options = all_measured(server.address(), GetParam());
  options.in_flight = kBurst;
  options.rate = 100'000;
  options.arrivals = Arrivals::burst;
  options.burst_requests = kBurst;
  options.duration = kNeverLate;
  options.count = kBurst;
  options.timeout = 5s;  // should the kernel have lost a datagram
  RunControl control;
  const LoadResult result = run_load(options, LaboriousDialect(), control);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.sent, kBurst);
  EXPECT_EQ(result.held_back, 0U);
  // All were due at once; before the n-th, that many had been made, but for a round of 64.
  EXPECT_GE(result.lag.max_ns(), 90'000'000U);
  EXPECT_GE(result.lag.percentile_ns(50), 40'000'000U);
}

TEST(OwnDelayAtAnyRate, does_not_hold_up_the_end) {
  // Faster than the generator, and with so many places in flight that there is always one free.
  const NullServer server({.name_bytes = 5, .payload_bytes = 32});
  LoadOptions options = all_measured(server.address(), Transport::tcp);
  options.in_flight = 100'000;
  options.rate = 1e8;
  options.arrivals = Arrivals::constant;
  options.duration = 20ms;
  const LoadResult result = run_load(options);
  expect_balance(result);
  EXPECT_NEAR(static_cast<double>(result.account.scheduled), 2e6, 1);
  // To send all of them is work for a second.
  EXPECT_GT(result.account.skipped, result.account.sent);
}

}  // namespace
}  // namespace evpool::bench
