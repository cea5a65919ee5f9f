// The pool alone: create, add, destroy.
#include <evpool/threadpool/thread_pool.h>

#include <atomic>
#include <cstdio>

int main() {
  std::atomic<long> sum{0};
  const auto pool = evpool::ThreadPool::create({.workers = 4, .capacity_tasks = 1024});
  for (long i = 1; i <= 1000; ++i) {
    // Not `added` means `full` (try again later, or say no) or `closed`.
    if (pool->try_add([&sum, i] { sum += i; }) != evpool::AddResult::added) return 1;
  }
  const auto statistics = pool->drain();
  std::printf("%llu tasks, sum %ld\n", static_cast<unsigned long long>(statistics.executed),
              sum.load());
  return sum == 500500 ? 0 : 1;
}
