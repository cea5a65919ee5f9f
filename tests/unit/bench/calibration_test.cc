// That the latencies the load generator reports are those there were: against a server that keeps
// each reply back for a known time.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/bench/delaying_server.h"
#include "tests/unit/bench/load_testing.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

using Durations = std::vector<std::chrono::nanoseconds>;

// Frames, and from when a request is written until its reply is read: what no clock but ours says,
// however busy the machine is.
class TimedDialect : public Dialect {
 public:
  void append_requests(std::span<const OutgoingRequest> requests, SendBuffer& out) const override {
    {
      const std::lock_guard lock(mutex_);
      for (const OutgoingRequest& request : requests) written_[key(request.id)] = Clock::now();
    }
    frames_->append_requests(requests, out);
  }
  [[nodiscard]] std::unique_ptr<ReplyReader> make_reader() const override {
    return std::make_unique<Reader>(*this);
  }
  bool read_datagram(std::string_view datagram, IncomingReply& reply) const override {
    if (!frames_->read_datagram(datagram, reply)) return false;
    note({&reply, 1});
    return true;
  }

  // Of all requests that had a reply. REQUIRES: the run has ended.
  [[nodiscard]] const Durations& took() const { return took_; }

 private:
  using Clock = std::chrono::steady_clock;
  using Key = std::pair<std::thread::id, std::uint64_t>;  // each thread has ids of its own

  class Reader : public ReplyReader {
   public:
    explicit Reader(const TimedDialect& dialect)
        : dialect_(dialect), frames_(dialect.frames_->make_reader()) {}

    std::span<char> space() override { return frames_->space(); }
    void push(std::string_view bytes) override { frames_->push(bytes); }
    void received(std::size_t bytes) override { frames_->received(bytes); }
    std::size_t next(std::span<IncomingReply> replies) override {
      const std::size_t count = frames_->next(replies);
      dialect_.note(replies.first(count));
      return count;
    }

   private:
    const TimedDialect& dialect_;
    const std::unique_ptr<ReplyReader> frames_;
  };

  static Key key(std::uint64_t id) { return {std::this_thread::get_id(), id}; }
  void note(std::span<const IncomingReply> replies) const {
    const std::lock_guard lock(mutex_);
    for (const IncomingReply& reply : replies) {
      took_.emplace_back(Clock::now() - written_.at(key(reply.id.value())));
    }
  }

  const std::unique_ptr<Dialect> frames_ = make_frame_dialect();
  mutable std::mutex mutex_;  // protects both below
  mutable std::map<Key, Clock::time_point> written_;
  mutable Durations took_;
};

// The generator looks at its clock once for up to 64 requests that are due and before it writes
// them, so it may say more than the dialect saw: by its own work on them, and for few requests by a
// pause just there.
constexpr std::uint64_t kOwnWork_ns = 10'000'000;
constexpr double kPaused_percent = 5;

// Delays with a long tail: 10 ms and more, half above 25 ms, one in a hundred above 100 ms.
DelayingServer::DelayOf long_tailed(std::uint64_t seed) {
  return [random = std::mt19937_64(seed),
          beyond = std::exponential_distribution<double>(std::log(2) / 15)](std::size_t) mutable {
    return std::chrono::microseconds(
        static_cast<std::int64_t>(1'000 * std::min(10 + beyond(random), 150.0)));
  };
}

std::uint64_t percentile_of(const Durations& sorted, double percent) {
  const auto rank =
      static_cast<std::size_t>(std::ceil(percent * static_cast<double>(sorted.size()) / 100));
  return static_cast<std::uint64_t>(sorted.at(std::max<std::size_t>(rank, 1) - 1).count());
}

// `kept`: by the server, `took`: as the dialect saw it, with all that the machine added.
void expect_service_calibrated(const LatencyHistogram& found, Durations kept, Durations took) {
  std::sort(kept.begin(), kept.end());
  std::sort(took.begin(), took.end());
  ASSERT_EQ(found.count(), kept.size());
  ASSERT_EQ(found.count(), took.size());
  for (int percent = 1; percent <= 100; ++percent) {
    // Never less: each request took longer than it was kept back, and so the shortest, and so on.
    EXPECT_GE(found.percentile_ns(percent), percentile_of(kept, percent)) << percent;
  }
  for (int percent = 5; percent <= 90; percent += 5) {
    const std::uint64_t most_ns = percentile_of(took, percent + kPaused_percent) + kOwnWork_ns;
    EXPECT_LE(found.percentile_ns(percent), most_ns + most_ns / LatencyHistogram::kSubBuckets)
        << percent;
  }
  EXPECT_GE(found.max_ns(), percentile_of(kept, 100));
}

// What the latency has beside the service is how late the request was sent: nothing in a closed
// loop, and in an open one the lag. To the nanosecond, but for the sums' rounding.
void expect_latency_calibrated(const LoadResult& result) {
  ASSERT_EQ(result.held_back, 0U);
  const double lag_ns = result.lag.count() > 0 ? result.lag.mean_ns() : 0;
  EXPECT_NEAR(result.latency.mean_ns(), result.service.mean_ns() + lag_ns, 1);
  for (int percent = 1; percent <= 100; ++percent) {
    EXPECT_GE(result.latency.percentile_ns(percent), result.service.percentile_ns(percent));
  }
}

LoadResult run_timed(const LoadOptions& options, const TimedDialect& dialect) {
  RunControl control;
  return run_load(options, dialect, control);
}

class Calibration : public testing::TestWithParam<Transport> {
 protected:
  const bool udp = GetParam() == Transport::udp;
};
INSTANTIATE_TEST_SUITE_P(Over, Calibration, testing::Values(Transport::tcp, Transport::udp),
                         [](const auto& over) {
                           return over.param == Transport::udp ? "udp" : "tcp";
                         });

TEST_P(Calibration, an_open_loop_reports_the_delays_there_were) {
  DelayingServer server(udp, long_tailed(1));
  LoadOptions options = all_measured(server.address(), GetParam());
  options.connections = 3;
  options.in_flight = 300;
  options.rate = 600;
  options.duration = 500ms;
  const TimedDialect dialect;
  const LoadResult result = run_timed(options, dialect);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.ok, result.account.sent);
  expect_service_calibrated(result.service, server.delays(), dialect.took());
  expect_latency_calibrated(result);
}

TEST_P(Calibration, a_closed_loop_reports_the_delays_there_were) {
  DelayingServer server(udp, long_tailed(2));
  LoadOptions options = all_measured(server.address(), GetParam());
  options.connections = 4;
  options.threads = 2;
  options.in_flight = 5;
  options.duration = 400ms;
  const TimedDialect dialect;
  const LoadResult result = run_timed(options, dialect);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.ok, result.account.sent);
  expect_service_calibrated(result.service, server.delays(), dialect.took());
  expect_latency_calibrated(result);
}

// Two groups of replies, and nothing between them: each request is counted where it belongs.
TEST_P(Calibration, a_slow_tenth_is_a_tenth) {
  DelayingServer server(udp, [](std::size_t i) { return i % 10 == 9 ? 150ms : 5ms; });
  LoadOptions options = all_measured(server.address(), GetParam());
  options.in_flight = 200;
  options.rate = 500;
  options.duration = kNeverLate;
  options.count = 200;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  std::uint64_t slow = 0;
  for (std::size_t bucket = 0; bucket < LatencyHistogram::buckets(); ++bucket) {
    if (LatencyHistogram::last_value_of(bucket) >= 150'000'000) {
      slow += result.service.count_in(bucket);
    }
  }
  EXPECT_GE(slow, 20U);
  EXPECT_LE(slow, 20U + 10U);  // more only by a pause of 145 ms
  EXPECT_LT(result.service.percentile_ns(50), 75'000'000U);
  EXPECT_GE(result.service.percentile_ns(91), 150'000'000U);
}

// One place in flight, twice as many requests as it can serve: the server is as quick as ever to
// each of them, and whoever waits sees it not.
TEST_P(Calibration, waiting_for_a_place_is_in_the_latency_and_not_in_the_service) {
  DelayingServer server(udp, [](std::size_t) { return 10ms; });
  LoadOptions options = all_measured(server.address(), GetParam());
  options.rate = 200;
  options.arrivals = Arrivals::constant;
  options.duration = 400ms;
  const TimedDialect dialect;
  const LoadResult result = run_timed(options, dialect);
  server.stop();
  expect_balance(result);
  expect_service_calibrated(result.service, server.delays(), dialect.took());
  // The n-th is due after 5 n ms and sent after 10 n ms: the middle one of 40 waits 100 ms.
  ASSERT_GE(result.account.ok, 10U);
  const double last = static_cast<double>(result.account.ok);
  EXPECT_GE(static_cast<double>(result.latency.percentile_ns(50)), 0.9 * last / 2 * 5e6);
  EXPECT_GE(static_cast<double>(result.latency.max_ns()), 0.9 * last * 5e6);
}

}  // namespace
}  // namespace evpool::bench
