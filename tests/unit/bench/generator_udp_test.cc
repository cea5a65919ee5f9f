// What only datagrams do to the load generator, and what it does to its own.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <map>
#include <string>

#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/load_testing.h"
#include "tests/unit/client/fake_server.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

TEST(UdpGenerator, datagrams_that_are_no_reply_are_malformed) {
  constexpr std::uint64_t kRequests = 5;
  FakeServer server(evpool::Transport::udp);
  auto served = std::async(std::launch::async, [&] {
    for (std::uint64_t i = 0; i < kRequests; ++i) {
      const Frame request = server.receive();
      const std::string reply =
          FakeServer::make_reply(request.header.id, Status::ok, upper(request.payload));
      server.send("");
      server.send("HTTP/1.1 400 Bad Request\r\n\r\n");
      server.send(reply.substr(0, kFrameHeaderBytes - 1));
      server.send(reply.substr(0, reply.size() - 1));
      server.send(reply + "x");
      std::string request_again;
      append_request(request.header.id, request.name, request.payload, 0, Priority::normal,
                     request_again);
      server.send(request_again);
      server.send(reply);
    }
  });
  LoadOptions options = all_measured(server.address(), Transport::udp);
  options.duration = kNeverLate;
  options.count = kRequests;
  const LoadResult result = run_load(options);
  served.get();
  expect_balance(result);
  EXPECT_EQ(result.account.ok, kRequests);
  EXPECT_EQ(result.account.malformed, 6 * kRequests);
  EXPECT_EQ(result.account.unknown, 0U);
}

TEST(UdpGenerator, the_largest_datagram_is_measured) {
  AnsweringServer server(true, honest);
  LoadOptions options = all_measured(server.address(), Transport::udp);
  const auto room =
      static_cast<std::uint32_t>(kMaxDatagramBytes - kFrameHeaderBytes - options.mix[0].job.size());
  options.mix[0].size = {.least = room, .most = room};
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_GT(result.account.ok, 0U);
  EXPECT_EQ(result.account.ok, result.account.sent);
  EXPECT_EQ(result.account.sent, server.requests());
}

TEST(UdpGenerator, accounts_the_same_with_and_without_segmentation_offload) {
  for (const bool offload : {false, true}) {
    AnsweringServer server(true, honest);
    LoadOptions options = all_measured(server.address(), Transport::udp);
    options.in_flight = 60;
    options.offload = offload;
    options.duration = kNeverLate;
    options.count = 2'000;
    // Of all sizes, so that groups of the same size are cut in every way.
    options.mix[0].size = {.kind = SizeDistribution::Kind::uniform, .least = 30, .most = 33};
    const LoadResult result = run_load(options);
    server.stop();
    expect_balance(result);
    expect_no_strays(result.account);
    EXPECT_EQ(result.account.ok, 2'000U);
    EXPECT_EQ(server.requests(), 2'000U);
    if (!offload) {
      EXPECT_FALSE(result.offload_used);
    }
  }
}

TEST(UdpGenerator, cuts_replies_that_arrive_as_one_into_what_they_were) {
  constexpr std::uint64_t kRequests = 8;
  const BoundSocket server(evpool::Transport::udp);
  const int no_segment = 0;
  if (::setsockopt(server.get(), SOL_UDP, UDP_SEGMENT, &no_segment, sizeof(no_segment)) != 0) {
    GTEST_SKIP() << "this kernel cannot send several datagrams as one";
  }
  // Takes all requests and then sends all replies at once; the last is the shortest.
  auto served = std::async(std::launch::async, [&] {
    std::string replies;
    sockaddr_in peer{};
    socklen_t size = sizeof(peer);
    auto* const to = reinterpret_cast<sockaddr*>(&peer);
    int segment = 0;
    for (std::uint64_t i = 0; i < kRequests; ++i) {
      pollfd waiting = {.fd = server.get(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&waiting, 1, 60'000), 1);
      std::array<char, 1'024> bytes;
      const ssize_t got = ::recvfrom(server.get(), bytes.data(), bytes.size(), 0, to, &size);
      Frame request;
      ASSERT_EQ(decode_datagram({bytes.data(), static_cast<std::size_t>(got)}, request),
                FrameError::none);
      const bool last = i + 1 == kRequests;
      const std::string reply =
          FakeServer::make_reply(request.header.id, last ? Status::busy : Status::ok,
                                 last ? std::string() : upper(request.payload));
      if (i == 0) segment = static_cast<int>(reply.size());
      replies += reply;
    }
    ASSERT_EQ(::setsockopt(server.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
    EXPECT_EQ(::sendto(server.get(), replies.data(), replies.size(), 0, to, size),
              static_cast<ssize_t>(replies.size()));
  });
  LoadOptions options = all_measured(server.address(), Transport::udp);
  options.in_flight = kRequests;
  options.count = kRequests;
  options.timeout = 2s;
  const LoadResult result = run_load(options);
  served.get();
  expect_balance(result);
  expect_no_strays(result.account);
  EXPECT_EQ(result.account.ok, kRequests - 1);
  EXPECT_EQ(result.account.all_refused(), 1U);
}

// --- Impairments
// -----------------------------------------------------------------------------------

// The run ends with the last request that is answered or lost; for what comes after its reply to be
// counted as well, it must wait for a lost one. With the seeds below there is one among the last.
LoadOptions impaired(const AnsweringServer& server, const Impairment& impairment) {
  LoadOptions options = all_measured(server.address(), Transport::udp);
  options.rate = 1'500;
  options.in_flight = 200;
  options.duration = kNeverLate;
  options.count = 400;
  options.timeout = 500ms;
  options.impairment = impairment;
  return options;
}

TEST(Impairment, what_it_drops_is_lost) {
  AnsweringServer server(true, honest);
  const LoadResult result = run_load(impaired(server, {.drop = 0.1}));
  server.stop();
  expect_balance(result);
  expect_no_strays(result.account);
  const Account& account = result.account;
  EXPECT_NEAR(static_cast<double>(account.impaired_drops), 40, 30);
  EXPECT_EQ(account.lost, account.impaired_drops);
  EXPECT_EQ(account.sent, 400U);
  EXPECT_EQ(account.ok, 400 - account.lost);
  EXPECT_EQ(server.requests(), 400 - account.impaired_drops);
}

TEST(Impairment, what_it_doubles_comes_back_twice) {
  // Without any loss the end is held up by the server, which does not answer the last request.
  std::map<std::uint64_t, int> ids;
  AnsweringServer server(true, [&](const Frame& request) {
    ++ids[request.header.id];
    return ids.size() == 400 ? mute(request) : honest(request);
  });
  const LoadResult result = run_load(impaired(server, {.duplicate = 0.1}));
  server.stop();
  expect_balance(result);
  const Account& account = result.account;
  EXPECT_NEAR(static_cast<double>(account.impaired_duplicates), 40, 30);
  EXPECT_EQ(server.requests(), 400 + account.impaired_duplicates);
  const auto lost_twice = ids.size() == 400 ? server.requests() - 400 - account.duplicates : 0;
  EXPECT_LE(lost_twice, 1U) << "only the last one's second reply is missing";
  EXPECT_EQ(account.duplicates + lost_twice, account.impaired_duplicates);
  EXPECT_EQ(account.ok, 399U);
  EXPECT_EQ(account.lost, 1U);
}

TEST(Impairment, what_it_reorders_is_overtaken_and_not_lost) {
  // One request after the other in their numbers: the server sees which came too early.
  std::map<std::uint64_t, int> ids;
  AnsweringServer server(true, [&](const Frame& request) {
    ++ids[request.header.id];
    return honest(request);
  });
  const LoadResult result = run_load(impaired(server, {.reorder = 0.2}));
  server.stop();
  expect_balance(result);
  expect_no_strays(result.account);
  EXPECT_NEAR(static_cast<double>(result.account.impaired_reorders), 70, 50);
  EXPECT_EQ(result.account.ok, 400U);
  EXPECT_EQ(server.requests(), 400U);
  EXPECT_EQ(ids.size(), 400U);
}

TEST(Impairment, the_order_of_two_is_changed) {
  std::string order;
  AnsweringServer server(true, [&](const Frame& request) {
    order += request.payload;
    return honest(request);
  });
  // Each second one is held back: every one that finds nothing held is. One letter each, a to z.
  LoadOptions options = impaired(server, {.reorder = 1});
  options.mix[0].size = {.least = 1, .most = 1};
  options.rate.reset();
  options.in_flight = 26;
  options.count = 26;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(order, "badcfehgjilknmporqtsvuxwzy");
  EXPECT_EQ(result.account.impaired_reorders, 13U);
  EXPECT_EQ(result.account.ok, 26U);
}

TEST(Impairment, one_that_nothing_overtakes_is_sent_nevertheless) {
  AnsweringServer server(true, honest);
  LoadOptions options = impaired(server, {.reorder = 1});
  options.rate.reset();
  options.in_flight = 1;
  options.count = 3;
  const LoadResult result = run_load(options);
  expect_balance(result);
  EXPECT_EQ(result.account.ok, 3U);
  EXPECT_EQ(result.account.impaired_reorders, 0U);
}

TEST(Impairment, all_at_once_and_from_several_threads) {
  AnsweringServer server(true, honest);
  LoadOptions options = impaired(server, {.drop = 0.1, .duplicate = 0.1, .reorder = 0.1});
  options.threads = 2;
  options.connections = 3;
  options.in_flight = 80;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  const Account& account = result.account;
  EXPECT_EQ(account.lost, account.impaired_drops);
  EXPECT_EQ(account.ok, 400 - account.lost);
  EXPECT_EQ(account.duplicates, account.impaired_duplicates);
  EXPECT_GT(account.impaired_reorders, 0U);
  EXPECT_EQ(server.requests(), 400 - account.impaired_drops + account.impaired_duplicates);
}

TEST(Impairment, is_fixed_by_the_seed) {
  AnsweringServer server(true, honest);
  LoadOptions options = impaired(server, {.drop = 0.3, .duplicate = 0.1});
  options.count = 200;
  options.rate = 5'000;
  options.timeout = 50ms;  // late or lost is the same to it
  const std::uint64_t drops = run_load(options).account.impaired_drops;
  EXPECT_EQ(run_load(options).account.impaired_drops, drops);
  // Of other seeds, not all have the same number.
  bool differs = false;
  for (options.seed = 2; options.seed < 5 && !differs; ++options.seed) {
    differs = run_load(options).account.impaired_drops != drops;
  }
  EXPECT_TRUE(differs);
}

TEST(UdpGenerator, hears_what_comes_after_the_last_reply_that_it_waits_for) {
  FakeServer server(evpool::Transport::udp);
  auto served = std::async(std::launch::async, [&] {
    const Frame request = server.receive();
    server.reply(request, upper(request.payload));
    // Far longer than the generator takes to see that everything is answered.
    EXPECT_TRUE(server.hears_nothing(std::chrono::milliseconds(20)));
    server.reply(request, upper(request.payload));
    server.reply(request.header.id + 1, Status::ok, "");
  });
  LoadOptions options = all_measured(server.address(), Transport::udp);
  options.duration = kNeverLate;
  options.count = 1;
  const LoadResult result = run_load(options);
  served.get();
  expect_balance(result);
  EXPECT_EQ(result.account.ok, 1U);
  EXPECT_EQ(result.account.duplicates, 1U);
  EXPECT_EQ(result.account.unknown, 1U);
  EXPECT_LT(result.seconds, 0.02);
}

}  // namespace
}  // namespace evpool::bench
