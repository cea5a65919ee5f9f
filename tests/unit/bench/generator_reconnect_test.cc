// Connections that are made anew on purpose, also when that fails.
#include "bench/load/generator.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <optional>
#include <stdexcept>

#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/delaying_server.h"
#include "tests/unit/bench/load_testing.h"

namespace {

// Which calls of connect() are refused, counted from when the test says so: from the first on,
// until the second.
std::atomic<int> connects{0};
std::atomic<int> refused_from{INT_MAX};
std::atomic<int> refused_until{INT_MAX};

}  // namespace

// Stands before the C library's.
extern "C" int connect(int descriptor, const sockaddr* address, socklen_t length) {
  static const auto real = reinterpret_cast<decltype(&connect)>(dlsym(RTLD_NEXT, "connect"));
  const int number = connects.fetch_add(1);
  if (number >= refused_from.load() && number < refused_until.load()) {
    errno = ECONNREFUSED;
    return -1;
  }
  return real(descriptor, address, length);
}

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

class RefusedConnects {
 public:
  RefusedConnects(int from, int until) {
    connects.store(0);
    refused_until.store(until);
    refused_from.store(from);
  }
  ~RefusedConnects() { refused_from.store(INT_MAX); }
  RefusedConnects(const RefusedConnects&) = delete;
  RefusedConnects& operator=(const RefusedConnects&) = delete;
};

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

TEST(TcpGenerator, a_connect_that_fails_in_the_middle_is_counted_and_tried_again) {
  for (const std::optional<double> rate : {std::optional<double>{}, std::optional<double>{2'000}}) {
    AnsweringServer server(false, honest);
    LoadOptions options = all_measured(server.address(), Transport::tcp);
    options.rate = rate;
    options.in_flight = 3;
    options.duration = kNeverLate;
    options.reconnect_every = 5;
    options.count = 23;
    const RefusedConnects refused(2, 4);  // the second time that it is made anew, twice
    const LoadResult result = run_load(options);
    expect_balance(result);
    EXPECT_EQ(result.account.ok, 23U);
    EXPECT_EQ(result.account.reconnects, 4U);
    EXPECT_EQ(result.account.failed_connects, 2U);
    EXPECT_EQ(result.account.connections_lost, 0U);
    EXPECT_TRUE(is_invalid_for(result,
                               "2 of 6 tries to make a connection anew failed: cannot "
                               "connect to tcp "));
  }
}

TEST(TcpGenerator, a_server_that_lets_nobody_in_any_more_ends_the_run_with_a_report) {
  AnsweringServer server(false, honest);
  LoadOptions options = all_measured(server.address(), Transport::tcp);
  options.duration = kNeverLate;
  options.timeout = 200ms;
  options.reconnect_every = 5;
  options.count = 100;
  const RefusedConnects refused(2, INT_MAX);
  const LoadResult result = run_load(options);
  expect_balance(result);
  EXPECT_EQ(result.account.ok + result.account.lost, 10U);
  EXPECT_EQ(result.account.reconnects, 1U);
  EXPECT_GE(result.account.failed_connects, 1U);
  EXPECT_EQ(result.account.connections_lost, 1U);
  EXPECT_TRUE(is_invalid_for(result, "all 1 connections broke before the end"));
}

TEST(TcpGenerator, a_first_connect_that_fails_is_an_error) {
  AnsweringServer server(false, honest);
  const RefusedConnects refused(0, INT_MAX);
  EXPECT_THROW(static_cast<void>(run_load(all_measured(server.address(), Transport::tcp))),
               std::runtime_error);
}

TEST(TcpGenerator, a_server_that_begins_to_speak_nonsense_leaves_a_report) {
  for (const std::size_t threads : {1U, 2U}) {
    AnsweringServer server(false, EveryTenth({.status = static_cast<Status>(99)}));
    LoadOptions options = all_measured(server.address(), Transport::tcp);
    options.duration = kNeverLate;
    options.connections = options.threads = threads;
    const LoadResult result = run_load(options);
    expect_balance(result);
    EXPECT_GT(result.account.ok, 0U);
    if (threads == 1) {
      EXPECT_EQ(result.account.ok, 9U);
    }
    EXPECT_FALSE(result.broke_off.empty());
    EXPECT_TRUE(is_invalid_for(result, "the run broke off: "));
  }
}

}  // namespace
}  // namespace evpool::bench
