// Tasks with results, tasks that belong together, and many at once.
#include <evpool/threadpool/future.h>
#include <evpool/threadpool/task_group.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <numeric>
#include <vector>

int main() {
  const auto pool = evpool::ThreadPool::create({.workers = 4, .capacity_tasks = 1024});

  // A result, or the exception, or TaskDiscarded, or TaskCancelled.
  auto [added, answer] = evpool::submit(*pool, [] { return 6 * 7; });
  if (added != evpool::AddResult::added) return 1;

  // A task that can be told to give up.
  auto search = evpool::submit(*pool, [](std::stop_token stop) {
    long steps = 0;
    while (!stop.stop_requested()) ++steps;
    return steps;
  });
  if (search.added != evpool::AddResult::added) return 1;
  while (search.future.cancel() == evpool::CancelResult::requested) {
  }

  // A group: wait() helps.
  std::vector<int> numbers(1'000'000, 1);
  long left = 0;
  long right = 0;
  evpool::TaskGroup group(*pool);
  const auto middle = numbers.begin() + 500'000;
  group.add([&] { left = std::accumulate(numbers.begin(), middle, 0L); });
  group.add([&] { right = std::accumulate(middle, numbers.end(), 0L); });
  group.wait();

  // Many at once: one admission, one wake-up.
  std::atomic<int> run{0};
  std::array<evpool::Task, 32> tasks;
  for (evpool::Task& task : tasks) task = [&run] { ++run; };
  const evpool::BulkAddResult bulk = pool->try_add_bulk(tasks);

  const int result = answer.get();
  pool->drain();
  std::printf("answer %d, sum %ld, %zu added at once, %d run\n", result, left + right, bulk.tasks,
              run.load());
  return result == 42 && left + right == 1'000'000 && run == 32 ? 0 : 1;
}
