// A pool made and filled through its C calls.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <memory>

#include "tests/unit/threadpool/blocker.h"
#include "threadpool/evpool_pool.h"

namespace evpool {

struct Destroy {
  void operator()(evpool_pool* pool) const { evpool_pool_destroy(pool); }
};
using Pool = std::unique_ptr<evpool_pool, Destroy>;

inline Pool create(std::size_t workers, std::size_t capacity_tasks) {
  const evpool_pool_options options = {.struct_bytes = sizeof(options),
                                       .workers = workers,
                                       .capacity_tasks = capacity_tasks,
                                       .thread_name = nullptr,
                                       .stack_bytes = 0};
  evpool_pool* pool = nullptr;
  char error[200] = "";
  EXPECT_EQ(evpool_pool_create(&options, &pool, error, sizeof(error)), 0) << error;
  return Pool(pool);
}

inline evpool_pool_statistics statistics_of(const Pool& pool) {
  evpool_pool_statistics statistics{};
  statistics.struct_bytes = sizeof(statistics);
  EXPECT_EQ(evpool_pool_get_statistics(pool.get(), &statistics), 0);
  return statistics;
}

struct Calls {
  std::atomic<int> run{0};
  std::atomic<int> discarded{0};
};
inline void count_run(void* calls) { static_cast<Calls*>(calls)->run.fetch_add(1); }
inline void count_discarded(void* calls) { static_cast<Calls*>(calls)->discarded.fetch_add(1); }

inline int add(const Pool& pool, Calls& calls, evpool_priority priority = EVPOOL_NORMAL) {
  return evpool_pool_add(pool.get(), count_run, count_discarded, &calls, priority);
}
// Occupies one worker until let go, through the C calls.
class CBlocker {
 public:
  explicit CBlocker(const Pool& pool) {
    const auto run = [](void* gate) { static_cast<Gate*>(gate)->wait(); };
    EXPECT_EQ(evpool_pool_add(pool.get(), run, nullptr, &gate_, EVPOOL_NORMAL), 0);
    gate_.entered.wait();
  }
  void release() { gate_.open.count_down(); }

 private:
  Gate gate_;
};

}  // namespace evpool
