// Keeps a worker busy for as long as a test wants.
#pragma once

#include <gtest/gtest.h>

#include <latch>

#include "threadpool/thread_pool.h"

namespace evpool {

// A place in a task where it stays until let on.
struct Gate {
  std::latch entered{1};
  std::latch open{1};
  void wait() {
    entered.count_down();
    open.wait();
  }
};

// Occupies one worker until let go.
class Blocker {
 public:
  explicit Blocker(ThreadPool& pool) {
    EXPECT_EQ(pool.try_add([this] { gate_.wait(); }), AddResult::added);
    gate_.entered.wait();
  }
  void release() { gate_.open.count_down(); }

 private:
  Gate gate_;
};

}  // namespace evpool
