// Row 5: nested fork-join, fib(18) by its definition, with a group for each call. Asio, moodycamel
// and the textbook's pool have no groups that a worker may wait for.
#include <tbb/task_group.h>

#include "bench/pool/pool_measure.h"
#include "threadpool/task_group.h"

namespace evpool::bench {
namespace {

constexpr unsigned kNumber = 18;
constexpr std::uint64_t kResult = 2'584;
constexpr std::uint64_t kTasks = 4'180;  // a task for each call with a number above 1

// In both the thread that waits for the first group takes part, beside the workers.
class EvpoolForkJoin {
 public:
  static constexpr const char* kName = EvpoolPeer::kName;
  explicit EvpoolForkJoin(std::size_t workers) : peer_(workers) {}
  [[nodiscard]] TaskGroup group() { return TaskGroup(peer_.pool()); }
  template <typename Callable>
  static void add(TaskGroup& group, const Callable& callable) {
    group.add(callable);
  }
  template <typename Callable>
  void run(const Callable& callable) {
    callable();
  }

 private:
  EvpoolPeer peer_;
};

class TbbForkJoin {
 public:
  static constexpr const char* kName = TbbPeer::kName;
  explicit TbbForkJoin(std::size_t workers)
      : limit_(tbb::global_control::max_allowed_parallelism, workers + 1),
        arena_(static_cast<int>(workers) + 1, 1) {}
  [[nodiscard]] static tbb::task_group group() { return {}; }
  template <typename Callable>
  static void add(tbb::task_group& group, const Callable& callable) {
    group.run(callable);
  }
  template <typename Callable>
  void run(const Callable& callable) {
    arena_.execute(callable);
  }

 private:
  tbb::global_control limit_;
  tbb::task_arena arena_;
};

template <typename ForkJoin>
std::uint64_t fib(ForkJoin& fork_join, unsigned number) {
  if (number < 2) return number;
  std::uint64_t first = 0;
  auto group = fork_join.group();
  fork_join.add(group, [&fork_join, &first, number] { first = fib(fork_join, number - 1); });
  const std::uint64_t second = fib(fork_join, number - 2);
  group.wait();
  return first + second;
}

template <typename ForkJoin>
void nested(benchmark::State& state, std::size_t workers) {
  ForkJoin fork_join(workers);
  double tasks = 0;
  const Costs costs;
  for (auto _ : state) {
    std::uint64_t result = 0;
    fork_join.run([&] { result = fib(fork_join, kNumber); });
    if (result != kResult) state.SkipWithError("fib(18) is wrong");
    tasks += kTasks;
  }
  costs.report(state, tasks);
  report_ns(state, tasks);
}

}  // namespace

void add_fork_join_rows() {
  for (const std::size_t workers : {1U, 2U, 4U}) {
    add_row(PeerList<EvpoolForkJoin, TbbForkJoin>{}, "nested fork-join, fib(18)",
            "the caller and " + count_of(workers, "worker"),
            [=](benchmark::State& state, auto fork_join) {
              nested<typename decltype(fork_join)::type>(state, workers);
            });
  }
}

}  // namespace evpool::bench
