#include "bench/load/faults.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace evpool::bench {
namespace {

// A thousand requests in two seconds, all of which had their replies.
LoadResult served(Transport transport = Transport::tcp) {
  LoadResult result;
  result.options.transport = transport;
  result.options.connections = 50;
  result.account.scheduled = result.account.sent = result.account.ok = 1'000;
  result.seconds = result.sending_s = 2;
  result.latency.record(5'000'000, 1'000);
  return result;
}

void lose(LoadResult& result, std::uint64_t requests) {
  result.account.ok -= requests;
  result.account.lost += requests;
}

std::string reasons_of(const LoadResult& result) {
  std::string all;
  for (const std::string& reason : find_faults(result).reasons) all += reason + '\n';
  return all;
}

bool says(const LoadResult& result, std::string_view part) {
  return reasons_of(result).find(part) != std::string::npos;
}

TEST(Faults, a_load_that_was_served_has_none) {
  for (const Transport transport : {Transport::tcp, Transport::udp}) {
    EXPECT_EQ(reasons_of(served(transport)), "");
  }
}

TEST(Faults, a_tenth_of_the_time_may_pass_without_a_reply_and_no_more) {
  LoadResult result = served();
  result.silent_s = 0.2;
  EXPECT_EQ(reasons_of(result), "");
  result.silent_s = 0.21;
  EXPECT_TRUE(says(result, "answered nothing in the last 0.21 s of the 2.00 s in which"));
}

TEST(Faults, over_tcp_one_lost_in_a_hundred_is_noticed) {
  LoadResult result = served();
  lose(result, 10);
  EXPECT_EQ(reasons_of(result), "");
  lose(result, 1);
  EXPECT_TRUE(says(result, "11 of 1000 requests were lost"));
  EXPECT_TRUE(says(result, "within 1000 ms, and the percentiles leave them out"));
}

TEST(Faults, over_udp_a_tenth_may_be_lost_and_no_more) {
  LoadResult result = served(Transport::udp);
  lose(result, 100);
  EXPECT_EQ(reasons_of(result), "");
  lose(result, 1);
  EXPECT_TRUE(says(result, "101 of 1000 requests were lost"));
}

TEST(Faults, what_was_dropped_on_purpose_is_not_held_against_the_run) {
  LoadResult result = served(Transport::udp);
  lose(result, 500);
  result.account.impaired_drops = 400;
  EXPECT_EQ(reasons_of(result), "");
  lose(result, 1);
  EXPECT_TRUE(says(result, "101 of 1000 requests were lost"));
  result.account.impaired_drops = 600;  // more than were lost: some of them twice
  EXPECT_EQ(reasons_of(result), "");
}

TEST(Faults, a_generator_that_is_late_says_nothing_of_the_server) {
  LoadResult result = served();
  result.options.rate = 500;
  result.lag.record(2'000'000, 1'000);
  EXPECT_FALSE(find_faults(result).generator_limited) << "less than half of the latency";
  result.lag.record(3'000'000, 100);
  EXPECT_TRUE(says(result, "the generator could not keep its schedule"));
  EXPECT_TRUE(find_faults(result).generator_limited);
}

TEST(Faults, what_was_never_sent_is_the_servers_fault_unless_the_generator_was_busy) {
  LoadResult result = served();
  result.options.rate = 600;
  result.options.threads = 2;
  result.account.scheduled += 200;
  result.account.skipped = 200;
  result.cpu_seconds = 3.5;  // of two threads for two seconds
  EXPECT_TRUE(says(result, "200 of 1200 requests were due and never sent, because no connection"));
  EXPECT_FALSE(find_faults(result).generator_limited);
  result.cpu_seconds = 3.7;
  EXPECT_TRUE(says(result, "never sent, and the generator was busy for 92 % of the time"));
  EXPECT_TRUE(find_faults(result).generator_limited);
}

TEST(Faults, what_a_server_does_not_serve_is_not_the_generators_fault) {
  LoadResult result = served();
  lose(result, 500);
  result.account.connections_lost = 50;
  result.silent_s = 1;
  EXPECT_FALSE(find_faults(result).reasons.empty());
  EXPECT_FALSE(find_faults(result).generator_limited);
}

TEST(Faults, any_broken_connection_changes_a_closed_loop) {
  LoadResult result = served();
  result.account.connections_lost = 1;
  EXPECT_TRUE(says(result, "1 of 50 connections broke, and the load was another one"));
  result.account.connections_lost = 49;
  EXPECT_TRUE(says(result, "49 of 50 connections broke"));
  result.account.connections_lost = 50;
  EXPECT_TRUE(says(result, "all 50 connections broke"));
  EXPECT_FALSE(says(result, "50 of 50"));
}

TEST(Faults, an_open_loop_can_do_without_one_connection_in_a_hundred) {
  LoadResult result = served();
  result.options.rate = 500;
  result.options.connections = 200;
  result.account.connections_lost = 2;
  EXPECT_EQ(reasons_of(result), "");
  result.account.connections_lost = 3;
  EXPECT_TRUE(says(result, "3 of 200 connections broke"));
}

}  // namespace
}  // namespace evpool::bench
