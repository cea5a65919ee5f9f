#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tests/unit/threadpool/c_pool.h"

namespace evpool {
namespace {

TEST(EvpoolPool, counts_what_became_of_the_tasks) {
  Calls calls;
  const Pool pool = create(1, 3);
  CBlocker blocker(pool);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(add(pool, calls), 0);
  ASSERT_EQ(add(pool, calls), EAGAIN);
  evpool_pool_statistics statistics = statistics_of(pool);
  EXPECT_EQ(statistics.struct_bytes, sizeof(statistics));
  EXPECT_EQ(statistics.queued, 3U);
  EXPECT_EQ(statistics.high_water, 3U);
  EXPECT_EQ(statistics.executed, 0U);
  EXPECT_EQ(statistics.discarded, 0U);
  EXPECT_EQ(statistics.refused, 1U);
  EXPECT_GE(statistics.wakes, statistics.spurious_wakes);
  EXPECT_LE(statistics.wakes, statistics.parks);

  std::thread stopper([&pool] { EXPECT_EQ(evpool_pool_stop(pool.get()), 0); });
  while (calls.discarded.load() < 3) std::this_thread::yield();
  blocker.release();
  stopper.join();
  statistics = statistics_of(pool);
  EXPECT_EQ(statistics.queued, 0U);
  EXPECT_EQ(statistics.executed, 1U);
  EXPECT_EQ(statistics.discarded, 3U);
}

TEST(EvpoolPool, writes_of_an_older_callers_statistics_only_what_it_knew) {
  Calls calls;
  const Pool pool = create(1, 10);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(add(pool, calls), 0);
  ASSERT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
  // Of every version that ended after a member. In the middle of a larger block, to see what
  // follows untouched, and on a heap block of its own, for AddressSanitizer.
  for (std::size_t bytes = sizeof(std::size_t); bytes <= sizeof(evpool_pool_statistics);
       bytes += sizeof(std::uint64_t)) {
    evpool_pool_statistics whole;
    std::memset(&whole, 0xAB, sizeof(whole));
    whole.struct_bytes = bytes;
    const auto exact = std::make_unique<std::uint64_t[]>(bytes / sizeof(std::uint64_t));
    std::memcpy(exact.get(), &whole, bytes);
    EXPECT_EQ(evpool_pool_get_statistics(pool.get(), &whole), 0);
    EXPECT_EQ(evpool_pool_get_statistics(pool.get(), static_cast<evpool_pool_statistics*>(
                                                         static_cast<void*>(exact.get()))),
              0);
    const evpool_pool_statistics now = statistics_of(pool);
    EXPECT_EQ(whole.struct_bytes, bytes);
    const auto* const at = reinterpret_cast<const unsigned char*>(&whole);
    EXPECT_EQ(std::memcmp(at + sizeof(std::size_t),
                          reinterpret_cast<const unsigned char*>(&now) + sizeof(std::size_t),
                          bytes - sizeof(std::size_t)),
              0);
    EXPECT_TRUE(std::all_of(at + bytes, at + sizeof(whole), [](unsigned char byte) {
      return byte == 0xAB;
    })) << bytes;
    EXPECT_EQ(std::memcmp(exact.get(), &whole, bytes), 0);
  }
}

TEST(EvpoolPool, leaves_alone_what_it_does_not_know_of_a_newer_callers_statistics) {
  struct Newer {
    evpool_pool_statistics known;
    std::uint64_t unknown;
  } statistics{};
  statistics.known.struct_bytes = sizeof(statistics);
  statistics.unknown = 7;
  const Pool pool = create(1, 10);
  EXPECT_EQ(evpool_pool_get_statistics(pool.get(), &statistics.known), 0);
  EXPECT_EQ(statistics.known.struct_bytes, sizeof(statistics));
  EXPECT_EQ(statistics.unknown, 7U);
}

TEST(EvpoolPool, refuses_statistics_that_do_not_say_their_size_or_end_within_a_member) {
  const Pool pool = create(1, 10);
  for (const std::size_t bytes : {0U, 4U, 12U, 39U}) {
    evpool_pool_statistics statistics;
    std::memset(&statistics, 0xAB, sizeof(statistics));
    statistics.struct_bytes = bytes;
    EXPECT_EQ(evpool_pool_get_statistics(pool.get(), &statistics), EINVAL);
    EXPECT_EQ(statistics.executed, 0xABABABABABABABABU) << "and then writes nothing";
  }
}

TEST(EvpoolPool, measures_the_time_of_every_256th_task) {
  Calls calls;
  const Pool pool = create(1, 300);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(add(pool, calls), 0);
  ASSERT_EQ(evpool_pool_drain(pool.get(), nullptr), 0);
  const evpool_pool_statistics statistics = statistics_of(pool);
  EXPECT_EQ(statistics.queue_time_samples, 2U);  // positions 0 and 256
  EXPECT_EQ(statistics.run_time_samples, 2U);
  EXPECT_GT(statistics.queue_time_max_ns, 0U);
  EXPECT_GE(statistics.queue_time_total_ns, statistics.queue_time_max_ns);
  EXPECT_GE(statistics.run_time_total_ns, statistics.run_time_max_ns);
  EXPECT_EQ(statistics.cancelled, 0U);
}

}  // namespace
}  // namespace evpool
