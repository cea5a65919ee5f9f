#include "client/flight_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <vector>

namespace evpool {
namespace {

using namespace std::chrono_literals;
using Clock = FlightWindow::Clock;

constexpr auto kTimeout = 10s;

// A server of so many workers that serve in order, on paper: no clock passes.
class PaperServer {
 public:
  explicit PaperServer(std::size_t workers) : free_at_(workers) {}

  // When a job that is sent then has been answered; and how long it has waited for a worker.
  struct Served {
    Clock::time_point answered;
    Clock::duration waited;
  };
  Served serve(Clock::time_point sent, Clock::duration takes) {
    const auto worker = std::min_element(free_at_.begin(), free_at_.end());
    const auto begins = std::max(*worker, sent);
    *worker = begins + takes;
    return {.answered = begins + takes, .waited = begins - sent};
  }

 private:
  std::vector<Clock::time_point> free_at_;
};

struct MapRun {
  Clock::duration longest_wait{};
  Clock::duration took{};
  std::size_t window = 0;  // at the end
};

// Has jobs done as `evpool map` does: as many in flight as the window says, taken in their order.
MapRun run(FlightWindow& window, std::size_t workers, const std::vector<Clock::duration>& jobs,
           Clock::time_point begin = Clock::time_point(1h)) {
  struct Sent {
    Clock::time_point sent;
    Clock::time_point answered;
  };
  PaperServer server(workers);
  std::deque<Sent> in_flight;
  Clock::time_point now = begin;
  MapRun result;
  const auto take_oldest = [&] {
    now = std::max(now, in_flight.front().answered);
    window.replied(in_flight.front().sent, in_flight.front().answered);
    in_flight.pop_front();
  };
  for (const Clock::duration job : jobs) {
    while (in_flight.size() >= window.size()) take_oldest();
    const auto served = server.serve(now, job);
    result.longest_wait = std::max(result.longest_wait, served.waited);
    in_flight.push_back({.sent = now, .answered = served.answered});
  }
  while (!in_flight.empty()) take_oldest();
  result.took = now - begin;
  result.window = window.size();
  return result;
}

std::vector<Clock::duration> jobs(std::size_t count, Clock::duration each) {
  return std::vector<Clock::duration>(count, each);
}

TEST(FlightWindow, begins_small) { EXPECT_EQ(FlightWindow(kTimeout).size(), FlightWindow::kFirst); }

TEST(FlightWindow, grows_to_its_bound_while_jobs_are_brief) {
  FlightWindow window(kTimeout);
  EXPECT_EQ(run(window, 2, jobs(10'000, 100us)).window, FlightWindow::kMost);
}

TEST(FlightWindow, keeps_slow_jobs_from_waiting_for_as_long_as_the_timeout) {
  for (const auto each : {500ms, 1'000ms, 2'000ms, 3'000ms, 4'000ms, 9'000ms}) {
    for (const std::size_t workers : {1U, 2U, 8U}) {
      FlightWindow window(kTimeout);
      const MapRun slow = run(window, workers, jobs(200, each));
      EXPECT_LT(slow.longest_wait, kTimeout) << each.count() << " ms, workers " << workers;
    }
  }
}

TEST(FlightWindow, keeps_the_workers_busy_while_jobs_are_slow) {
  for (const auto each : {500ms, 1'000ms, 3'000ms, 9'000ms}) {
    for (const std::size_t workers : {1U, 2U, 8U}) {
      FlightWindow window(kTimeout);
      const MapRun slow = run(window, workers, jobs(400, each));
      const auto at_best = each * 400 / workers;
      EXPECT_LT(slow.took, 2 * at_best) << each.count() << " ms, workers " << workers;
    }
  }
}

TEST(FlightWindow, shrinks_when_brief_jobs_become_slow_and_finds_its_size_anew) {
  FlightWindow window(kTimeout);
  static_cast<void>(run(window, 8, jobs(10'000, 100us)));
  ASSERT_EQ(window.size(), FlightWindow::kMost);
  const MapRun slow = run(window, 8, jobs(2'000, 9s), Clock::time_point(2h));
  EXPECT_LE(slow.window, 32U);
  EXPECT_GE(slow.window, 4U);
  static_cast<void>(run(window, 8, jobs(10'000, 100us), Clock::time_point(9h)));
  EXPECT_EQ(window.size(), FlightWindow::kMost);
}

TEST(FlightWindow, is_halved_once_for_all_that_were_late_together) {
  FlightWindow window(kTimeout);
  static_cast<void>(run(window, 2, jobs(10'000, 100us)));
  const Clock::time_point sent{2h};
  for (int i = 0; i < 200; ++i) window.too_late(sent, sent + kTimeout);
  EXPECT_EQ(window.size(), FlightWindow::kMost / 2);
}

TEST(FlightWindow, is_never_empty) {
  FlightWindow window(kTimeout);
  for (int i = 1; i < 20; ++i) {
    const Clock::time_point sent{i * 1h};
    window.too_late(sent, sent + kTimeout);
    EXPECT_GE(window.size(), 1U);
  }
}

}  // namespace
}  // namespace evpool
