// Connections that are made anew on purpose.
#include "bench/load/generator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/delaying_server.h"
#include "tests/unit/bench/load_testing.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

TEST(TcpGenerator, makes_connections_anew_after_as_many_requests_as_asked_for) {
  for (const std::optional<double> rate : {std::optional<double>{}, std::optional<double>{2'000}}) {
    for (const std::size_t in_flight : {1U, 3U, 8U}) {
      AnsweringServer server(false, honest);
      LoadOptions options = all_measured(server.address(), Transport::tcp);
      options.rate = rate;
      options.in_flight = in_flight;
      options.duration = kNeverLate;
      options.reconnect_every = 5;
      options.count = 23;
      const LoadResult result = run_load(options);
      server.stop();
      expect_balance(result);
      expect_no_strays(result.account);
      EXPECT_EQ(result.account.ok, 23U);
      EXPECT_EQ(server.requests(), 23U);
      EXPECT_EQ(result.account.reconnects, 4U);
    }
  }
}

TEST(TcpGenerator, lost_requests_do_not_keep_a_connection_from_being_made_anew) {
  AnsweringServer server(false, EveryTenth({.action = Answer::Action::drop}));
  LoadOptions options = all_measured(server.address(), Transport::tcp);
  options.in_flight = 2;
  options.duration = kNeverLate;
  options.timeout = 200ms;
  options.reconnect_every = 10;
  options.count = 30;
  const LoadResult result = run_load(options);
  expect_balance(result);
  EXPECT_EQ(result.account.lost, 3U);
  EXPECT_EQ(result.account.ok, 27U);
  EXPECT_EQ(result.account.reconnects, 2U);
}

}  // namespace
}  // namespace evpool::bench
