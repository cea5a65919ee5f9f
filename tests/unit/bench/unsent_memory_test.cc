// What the closed loop keeps of requests that the server is slow to take.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "bench/closed_loop.h"
#include "tests/unit/bench/answering_server.h"
#include "tests/unit/client/allocated_bytes.h"

namespace evpool {
namespace {

TEST(TcpClosedLoop, keeps_only_what_the_server_has_not_taken_yet) {
#ifdef EVPOOL_HAS_SANITIZER_ALLOCATOR
  GTEST_SKIP() << "the sanitizer's allocator does not say how much is allocated";
#endif
  // More than the sockets hold, so that the loop always has something left to send.
  constexpr std::size_t kInFlight = 64;
  constexpr std::size_t kPayloadBytes = std::size_t{256} << 10U;
  const std::size_t before = allocated_bytes();
  std::size_t most = 0;
  AnsweringServer server(false, [&](const Frame&) {
    most = std::max(most, allocated_bytes());
    return Answer{};
  });
  const ClosedLoopResult result = run_closed_loop({.server = server.address(),
                                                   .in_flight = kInFlight,
                                                   .payload_bytes = kPayloadBytes,
                                                   .job = "sink",
                                                   .duration = std::chrono::milliseconds(800),
                                                   .warm_up = std::chrono::milliseconds(0),
                                                   .timeout = std::chrono::seconds(60)});
  server.stop();
  EXPECT_EQ(result.ok, result.sent);
  // Room for growth: twice what is in flight, and as much again while it is copied.
  EXPECT_LT(most - before, 4 * kInFlight * kPayloadBytes);
}

}  // namespace
}  // namespace evpool
