// How a run of the load generator ends when it is told to, when the server goes away, and when it
// cannot begin.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "client/client.h"
#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/load_testing.h"
#include "tests/unit/client/fake_server.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

// A run that only what is tested can end.
LoadOptions endless(const Address& server, Transport transport = Transport::tcp) {
  LoadOptions options = all_measured(server, transport);
  options.duration = kNeverLate;
  return options;
}

// --- Interrupted
// -----------------------------------------------------------------------------------

class Interrupted : public testing::TestWithParam<Way> {
 protected:
  [[nodiscard]] LoadOptions options_for(const Address& server) const {
    LoadOptions options = endless(server, GetParam().transport);
    options.connections = 4;
    options.threads = 2;
    options.in_flight = 5;
    if (GetParam().open_loop) options.rate = 2'000;
    return options;
  }
  const bool udp = GetParam().transport == Transport::udp;
};
INSTANTIATE_TEST_SUITE_P(Over, Interrupted, kEveryWay, name_of_way);

TEST_P(Interrupted, once_waits_for_what_is_in_flight_and_reports) {
  RunControl control;
  std::uint64_t requests = 0;
  AnsweringServer server(udp, [&](const Frame& request) {
    if (++requests == 100) control.stop_requests.store(1);
    return honest(request);
  });
  const LoadResult result = run_load(options_for(server.address()), control);
  server.stop();
  expect_balance(result);
  expect_no_strays(result.account);
  EXPECT_TRUE(result.interrupted);
  EXPECT_GE(result.account.sent, 100U);
  EXPECT_EQ(result.account.sent, server.requests());
  EXPECT_EQ(result.account.ok, result.account.sent);
  EXPECT_EQ(result.account.unresolved, 0U);
}

TEST_P(Interrupted, twice_ends_at_once_with_the_rest_unresolved) {
  RunControl control;
  std::uint64_t requests = 0;
  // Answers 50; then 20 are in flight, and would be for a minute.
  AnsweringServer server(udp, [&](const Frame& request) {
    if (++requests == 70) control.stop_requests.store(2);
    return requests <= 50 ? honest(request) : mute(request);
  });
  const LoadResult result = run_load(options_for(server.address()), control);
  server.stop();
  expect_balance(result);
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.account.sent, 70U);
  EXPECT_EQ(server.requests(), 70U);
  EXPECT_EQ(result.account.ok, 50U);
  EXPECT_EQ(result.account.unresolved, 20U);
  EXPECT_EQ(result.account.lost, 0U);
  EXPECT_TRUE(is_invalid_for(result, "20 of "));
  EXPECT_TRUE(is_invalid_for(result, "are unresolved"));
}

TEST_P(Interrupted, once_and_then_again_gives_up_what_does_not_come) {
  RunControl control;
  std::atomic<bool> asked_once = false;
  AnsweringServer server(udp, [&](const Frame& request) {
    int not_yet = 0;
    control.stop_requests.compare_exchange_strong(not_yet, 1);
    asked_once.store(true);
    return mute(request);
  });
  LoadOptions options = options_for(server.address());
  options.interval = 5ms;
  std::size_t intervals = 0;
  control.on_interval = [&](const Progress&) {
    // It waits, and goes on telling so.
    if (asked_once.load() && ++intervals == 3) control.stop_requests.store(2);
  };
  const LoadResult result = run_load(options, control);
  expect_balance(result);
  EXPECT_TRUE(result.interrupted);
  EXPECT_GT(result.account.unresolved, 0U);
  EXPECT_EQ(result.account.unresolved, result.account.sent);
}

TEST(InterruptedOpenLoop, what_had_found_no_place_by_then_is_skipped) {
  RunControl control;
  AnsweringServer server(false, mute);
  LoadOptions options = endless(server.address());
  options.rate = 1'000;
  options.arrivals = Arrivals::constant;
  options.timeout = 200ms;
  options.interval = 100ms;
  control.on_interval = [&](const Progress&) { control.stop_requests.store(1); };
  const LoadResult result = run_load(options, control);
  expect_balance(result);
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.account.sent, 1U);
  EXPECT_EQ(result.account.lost, 1U);
  EXPECT_GE(result.account.skipped, 98U);
}

// --- Connections that break
// ------------------------------------------------------------------------

TEST(LostConnection, leaves_its_requests_unresolved_and_the_others_go_on) {
  for (const bool open_loop : {false, true}) {
    std::uint64_t requests = 0;
    AnsweringServer server(false, [&](const Frame& request) {
      if (++requests == 20) return Answer{.action = Answer::Action::close};
      return honest(request);
    });
    LoadOptions options = endless(server.address());
    options.connections = 3;
    options.in_flight = 4;
    options.count = 200;
    if (open_loop) options.rate = 2'000;
    const LoadResult result = run_load(options);
    server.stop();
    expect_balance(result);
    EXPECT_EQ(result.account.connections_lost, 1U);
    EXPECT_GE(result.account.unresolved, 1U);
    EXPECT_LE(result.account.unresolved, 4U);
    EXPECT_EQ(result.account.sent, 200U);
    EXPECT_EQ(result.account.ok, 200 - result.account.unresolved);
  }
}

TEST(LostConnection, the_last_one_ends_the_run) {
  for (const bool open_loop : {false, true}) {
    for (const std::size_t threads : {1U, 2U}) {
      std::uint64_t requests = 0;
      AnsweringServer server(false, [&](const Frame& request) {
        if (++requests > 10) return Answer{.action = Answer::Action::close};
        return honest(request);
      });
      LoadOptions options = endless(server.address());
      options.connections = 3;
      options.threads = threads;
      if (open_loop) options.rate = 2'000;
      const LoadResult result = run_load(options);
      server.stop();
      expect_balance(result);
      EXPECT_EQ(result.account.connections_lost, 3U);
      EXPECT_EQ(result.account.ok, 10U);
      EXPECT_EQ(result.account.unresolved, 3U);
      EXPECT_EQ(result.account.sent, 13U);
      EXPECT_TRUE(is_invalid_for(result, "all 3 connections broke before the end"));
    }
  }
}

TEST(LostConnection, several_at_once_leave_all_their_requests_unresolved) {
  // Their requests lie between those of the others in the generator's table.
  constexpr std::size_t kConnections = 12;
  constexpr std::size_t kInFlight = 8;
  const BoundSocket listener(evpool::Transport::tcp);
  BoundSocket::check(::listen(listener.get(), SOMAXCONN), "listen");
  LoadOptions options = endless(listener.address());
  options.connections = kConnections;
  options.in_flight = kInFlight;
  options.interval = 5ms;
  RunControl control;
  control.on_interval = [&](const Progress& progress) {
    // Those of the broken ones are no longer in flight.
    if (progress.interval.in_flight == kConnections / 2 * kInFlight) control.stop_requests.store(2);
  };
  auto served = std::async(std::launch::async, [&] {
    std::vector<Descriptor> connections;
    std::array<char, 4'096> bytes;
    for (std::size_t i = 0; i < kConnections; ++i) {
      connections.emplace_back(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      EXPECT_GT(::recv(connections.back().get(), bytes.data(), 1, 0), 0);
    }
    for (std::size_t i = 0; i < kConnections; i += 2) connections[i].close();
    while (::recv(connections.back().get(), bytes.data(), bytes.size(), 0) > 0) {
    }
  });
  const LoadResult result = run_load(options, control);
  served.get();
  expect_balance(result);
  EXPECT_EQ(result.account.connections_lost, kConnections / 2);
  EXPECT_EQ(result.account.unresolved, kConnections * kInFlight);
  EXPECT_EQ(result.account.sent, kConnections * kInFlight);
}

TEST(LostConnection, after_the_last_one_the_rest_of_the_schedule_is_skipped) {
  for (const Arrivals arrivals : {Arrivals::poisson, Arrivals::constant, Arrivals::burst}) {
    AnsweringServer server(false,
                           [](const Frame&) { return Answer{.action = Answer::Action::close}; });
    LoadOptions options = endless(server.address());
    options.rate = 1e9;
    options.arrivals = arrivals;
    options.warm_up = 1h;
    options.duration = 24h;
    const LoadResult result = run_load(options);
    expect_balance(result);
    EXPECT_EQ(result.account.connections_lost, 1U);
    // Nobody could count them one by one, nor without those of the warm-up.
    EXPECT_NEAR(static_cast<double>(result.account.skipped), 8.64e13, 1e8);
    EXPECT_TRUE(is_invalid_for(result, "were due and never sent"));
  }
}

TEST(LostConnection, a_reset_while_much_is_unsent_is_one_too) {
  FakeServer server;
  auto served = std::async(std::launch::async, [&] {
    server.accept();
    server.receive();
    server.reset();
  });
  LoadOptions options = endless(server.address());
  options.in_flight = 8;
  options.mix[0].size = {.least = 2U << 20U, .most = 2U << 20U};
  const LoadResult result = run_load(options);
  served.get();
  expect_balance(result);
  EXPECT_EQ(result.account.connections_lost, 1U);
  EXPECT_GE(result.account.sent, 1U);
  EXPECT_LE(result.account.sent, 8U);
  EXPECT_EQ(result.account.unresolved, result.account.sent);
  EXPECT_TRUE(is_invalid_for(result, "no reply was ok"));
}

// --- Runs that cannot be
// ---------------------------------------------------------------------------

// What a run says when it throws; `Error` must be what it throws.
template <typename Error>
std::string end_of(const LoadOptions& options) {
  try {
    static_cast<void>(run_load(options));
  } catch (const Error& error) {
    return error.what();
  }
  return "it went on";
}

TEST(Begin, options_that_contradict_each_other_are_refused) {
  const BoundSocket nobody(evpool::Transport::tcp);
  const auto refusal = [&](const auto& change) {
    LoadOptions options = endless(nobody.address());
    change(options);
    return end_of<std::invalid_argument>(options);
  };
  EXPECT_EQ(refusal([](LoadOptions& o) { o.threads = 2; }),
            "2 threads need at least as many connections, not 1");
  EXPECT_EQ(refusal([](LoadOptions& o) { o.threads = 0; }),
            "0 threads need at least as many connections, not 1");
  EXPECT_EQ(refusal([](LoadOptions& o) { o.connections = 0; }),
            "1 threads need at least as many connections, not 0");
  EXPECT_EQ(refusal([](LoadOptions& o) { o.in_flight = 0; }),
            "at least one request must be in flight on each connection");
  EXPECT_EQ(refusal([](LoadOptions& o) { o.in_flight = (std::size_t{1} << 24U) + 1; }),
            "1 x 16777217 requests in flight on a thread are more than 16777216");
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double wrong : {0.0, -1.0, nan, infinity, 1.1e9}) {
    EXPECT_EQ(refusal([&](LoadOptions& o) { o.rate = wrong; }),
              "the rate must be above 0 and at most 1e9, one request a nanosecond");
  }
  EXPECT_EQ(refusal([](LoadOptions& o) { o.burst_requests = 0; }),
            "a burst has at least one request");
  EXPECT_EQ(refusal([](LoadOptions& o) { o.interval = 0ms; }), "an interval lasts at least 1ms");
  EXPECT_EQ(refusal([](LoadOptions& o) { o.timeout = 0ms; }), "a timeout lasts at least 1ms");
  for (const double wrong : {-0.1, 1.1, nan}) {
    for (double Impairment::*const chance :
         {&Impairment::drop, &Impairment::duplicate, &Impairment::reorder}) {
      EXPECT_EQ(refusal([&](LoadOptions& o) {
                  o.transport = Transport::udp;
                  o.impairment.*chance = wrong;
                }),
                "a probability is 0% to 100%");
    }
  }
  EXPECT_EQ(refusal([](LoadOptions& o) { o.impairment.drop = 0.1; }),
            "only datagrams can be dropped, doubled or reordered (use udp)");
  EXPECT_EQ(refusal([](LoadOptions& o) {
              o.transport = Transport::udp;
              o.reconnect_every = 1;
            }),
            "UDP sockets have no connection to make anew");
  EXPECT_EQ(refusal([](LoadOptions& o) { o.mix.clear(); }), "there is no job to send");
}

TEST(Begin, a_cpu_that_is_not_there_is_an_error) {
  AnsweringServer server(false, honest);
  LoadOptions options = endless(server.address());
  options.pin = {CPU_SETSIZE - 1};
  EXPECT_EQ(end_of<std::runtime_error>(options),
            "cannot pin a thread to CPU 1023: Invalid argument");
}

TEST(Begin, a_refused_connection_is_a_connect_error) {
  const BoundSocket nobody(evpool::Transport::tcp);
  for (const std::size_t threads : {1U, 3U}) {
    LoadOptions options = endless(nobody.address());
    options.threads = options.connections = threads;
    EXPECT_EQ(end_of<ConnectError>(options), "cannot connect to tcp " +
                                                 to_string(nobody.address()) +
                                                 ": Connection refused (is evpoold running?)");
  }
}

TEST(Begin, a_dead_udp_port_is_told_of) {
  BoundSocket nobody(evpool::Transport::udp);
  nobody.refuse_datagrams();
  for (const std::size_t in_flight : {1U, 2U, 50U}) {
    for (const std::size_t threads : {1U, 2U}) {
      LoadOptions options = endless(nobody.address(), Transport::udp);
      options.threads = options.connections = threads;
      options.in_flight = in_flight;
      EXPECT_EQ(end_of<std::runtime_error>(options),
                "nobody listens at udp " + to_string(nobody.address()) + " (is evpoold running?)");
    }
  }
}

TEST(Begin, a_server_that_speaks_another_protocol_ends_the_run) {
  FakeServer server;
  auto served = std::async(std::launch::async, [&] {
    server.accept();
    server.receive();
    server.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    EXPECT_TRUE(server.hears_the_end(kPatience));
  });
  const std::string said = end_of<std::runtime_error>(endless(server.address()));
  EXPECT_TRUE(said.starts_with("the server sent what is no frame: ")) << said;
  served.get();
}

TEST(Begin, the_failure_of_one_thread_ends_the_others) {
  // One connection gets nonsense, the others nothing, for a minute.
  const BoundSocket listener(evpool::Transport::tcp);
  BoundSocket::check(::listen(listener.get(), SOMAXCONN), "listen");
  auto served = std::async(std::launch::async, [&] {
    std::vector<Descriptor> connections;
    for (int i = 0; i < 3; ++i) {
      connections.emplace_back(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    constexpr std::string_view kNonsense = "220 smtp.example.com ESMTP, at your service\r\n";
    BoundSocket::check(
        ::send(connections[1].get(), kNonsense.data(), kNonsense.size(), MSG_NOSIGNAL), "send");
    for (const Descriptor& connection : connections) {  // until the generator closes them
      std::vector<char> bytes(4096);
      while (::recv(connection.get(), bytes.data(), bytes.size(), 0) > 0) {
      }
    }
  });
  LoadOptions options = endless(listener.address());
  options.threads = options.connections = 3;
  const std::string said = end_of<std::runtime_error>(options);
  EXPECT_TRUE(said.starts_with("the server sent what is no frame: ")) << said;
  served.get();
}

}  // namespace
}  // namespace evpool::bench
