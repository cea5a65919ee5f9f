// What the load generator keeps of requests that the server is slow to take.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/load_testing.h"
#include "tests/unit/client/allocated_bytes.h"

namespace evpool::bench {
namespace {

TEST(TcpGenerator, keeps_only_what_the_server_has_not_taken_yet) {
#ifdef EVPOOL_HAS_SANITIZER_ALLOCATOR
  GTEST_SKIP() << "the sanitizer's allocator does not say how much is allocated";
#endif
  // More than the sockets hold, so that the generator always has something left to send.
  constexpr std::size_t kInFlight = 64;
  constexpr std::uint32_t kPayloadBytes = 256U << 10U;
  const std::size_t before = allocated_bytes();
  std::size_t most = 0;
  AnsweringServer server(false, [&](const Frame&) {
    most = std::max(most, allocated_bytes());
    return Answer{};
  });
  LoadOptions options = all_measured(server.address(), Transport::tcp);
  options.in_flight = kInFlight;
  options.mix[0].job = "sink";
  options.mix[0].size = {.least = kPayloadBytes, .most = kPayloadBytes};
  // Many times what is in flight: what is not given up adds up.
  options.duration = kNeverLate;
  options.count = 20 * kInFlight;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.ok, 20 * kInFlight);
  // Room for growth: twice what is in flight, and as much again while it is copied.
  EXPECT_LT(most - before, 4 * kInFlight * kPayloadBytes);
}

}  // namespace
}  // namespace evpool::bench
