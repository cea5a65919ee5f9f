// Row 3: how soon an idle pool starts a task, and what its idling costs.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bench/pool/pool_measure.h"

namespace evpool::bench {
namespace {

// Long enough that every peer's workers have given up searching and sleep in the kernel.
constexpr std::chrono::microseconds kIdle{500};
// Of so many, p99.9 is the second largest.
constexpr benchmark::IterationCount kRounds = 1'000;

std::int64_t now_ns() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Calls visit(its folder in /proc, its id) for each.
template <typename Visit>
void for_each_other_thread(const Visit& visit) {
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    const pid_t id = std::stoi(thread.path().filename());
    if (id != gettid()) visit(thread.path(), id);
  }
}

// While it lives, this thread has the first of its processors for itself, and all other threads the
// second. Each wake-up is then one of another processor, and no peer is lucky. All get back what
// they had: TBB's threads live on.
class Separated {
 public:
  Separated() {
    sched_getaffinity(0, sizeof(all_), &all_);
    const int first = next(0);
    pin(0, only(first));
    for_each_other_thread(
        [&](const auto& /*folder*/, pid_t id) { pin(id, only(next(first + 1))); });
  }
  ~Separated() {
    pin(0, all_);
    for_each_other_thread([&](const auto& /*folder*/, pid_t id) { pin(id, all_); });
  }
  Separated(const Separated&) = delete;
  Separated& operator=(const Separated&) = delete;

 private:
  [[nodiscard]] int next(int cpu) const {
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(static_cast<unsigned>(cpu), &all_)) ++cpu;
    return cpu;
  }
  static cpu_set_t only(int cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<unsigned>(cpu), &cpus);
    return cpus;
  }
  static void pin(pid_t id, const cpu_set_t& cpus) { sched_setaffinity(id, sizeof(cpus), &cpus); }

  cpu_set_t all_{};
};

struct StampTask {
  std::atomic<std::int64_t>* started_at_ns;
  void operator()() const { started_at_ns->store(now_ns()); }
};

// No pool and no peer, but what the kernel needs for a wake-up at the least: one thread that sleeps
// on one word.
class BareFutex {
 public:
  static constexpr const char* kName = "bare futex";
  explicit BareFutex(std::size_t /*workers*/) : thread_([this] { work(); }) {}
  ~BareFutex() {
    wake(kEnd);
    thread_.join();
  }
  BareFutex(const BareFutex&) = delete;
  BareFutex& operator=(const BareFutex&) = delete;

  // REQUIRES: the one before has started.
  void add(const StampTask& task) {
    task_ = task;
    wake(kTask);
  }

 private:
  static constexpr std::uint32_t kNothing = 0;
  static constexpr std::uint32_t kTask = 1;
  static constexpr std::uint32_t kEnd = 2;

  void wake(std::uint32_t what) {
    word_.store(what);
    futex_wake(word_, 1);
  }
  void work() {
    for (;;) {
      std::uint32_t what = word_.load();
      for (; what == kNothing; what = word_.load()) futex_wait(word_, kNothing);
      if (what == kEnd) return;
      word_.store(kNothing);
      task_();
    }
  }
  FutexWord word_{kNothing};
  StampTask task_{};
  std::thread thread_;
};

// The adder sleeps after adding, as an I/O thread does that has nothing more to read. So the woken
// worker may get the adder's processor, which is soonest, or another: that is the kernel's choice,
// which tends to stay what it was; unless they are separated.
template <typename Peer>
void wake_up(benchmark::State& state, std::size_t workers, bool separated) {
  std::atomic<std::int64_t> started_at_ns{0};
  Peer peer(workers);
  std::vector<std::int64_t> latencies_ns;
  latencies_ns.reserve(static_cast<std::size_t>(kRounds));
  peer.add(StampTask{&started_at_ns});
  do {
    std::this_thread::sleep_for(kIdle);
  } while (started_at_ns.load() == 0);
  std::optional<Separated> separation;
  if (separated) separation.emplace();
  const Costs costs;
  for (auto _ : state) {
    started_at_ns.store(0);
    const std::int64_t began_ns = now_ns();
    peer.add(StampTask{&started_at_ns});
    do {
      std::this_thread::sleep_for(kIdle);
    } while (started_at_ns.load() == 0);
    latencies_ns.push_back(started_at_ns.load() - began_ns);
  }
  costs.report(state, static_cast<double>(latencies_ns.size()));
  std::sort(latencies_ns.begin(), latencies_ns.end());
  const auto report = [&](const char* name, double share) {
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(latencies_ns.size()));
    state.counters[name] =
        static_cast<double>(latencies_ns[std::min(rank, latencies_ns.size() - 1)]);
  };
  report("p50 (ns)", 0.5);
  report("p99 (ns)", 0.99);
  report("p99.9 (ns)", 0.999);
}

// Of all threads but this one, whose waking from its own sleep is not the pool's.
double others_cpu_us() {
  double ns = 0;
  for_each_other_thread([&](const std::filesystem::path& thread, pid_t /*id*/) {
    double own_ns = 0;
    if (std::ifstream(thread / "schedstat") >> own_ns) ns += own_ns;
  });
  return ns / 1e3;
}

// After a task has run and what follows it has come to rest.
template <typename Peer>
void idle_cpu(benchmark::State& state, std::size_t workers) {
  std::atomic<std::int64_t> started_at_ns{0};
  Peer peer(workers);
  double cpu_us = 0;
  for (auto _ : state) {
    peer.add(StampTask{&started_at_ns});
    do {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    } while (started_at_ns.load() == 0);
    const double before_us = others_cpu_us();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cpu_us = others_cpu_us() - before_us;
  }
  state.counters["CPU us"] = cpu_us;
}

}  // namespace

void add_idle_rows() {
  const auto add = [](std::size_t workers, bool separated) {
    add_row(
        PeerList<EvpoolPeer, TbbPeer, AsioPeer, MoodycamelPeer, TextbookPeer, BareFutex>{},
        "idle wake-up, from add to start",
        count_of(workers, "worker") + (separated ? " on another CPU" : ""),
        [=](benchmark::State& state, auto peer) {
          wake_up<typename decltype(peer)::type>(state, workers, separated);
        },
        kRounds);
  };
  for (const std::size_t workers : {1U, 2U, 4U}) add(workers, false);
  cpu_set_t cpus;
  const bool several = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1;
  if (several) add(2, true);
  for (const std::size_t workers : {2U, 4U}) {
    add_row(
        AllPeers{}, "idle for 200 ms", count_of(workers, "worker"),
        [=](benchmark::State& state, auto peer) {
          idle_cpu<typename decltype(peer)::type>(state, workers);
        },
        1);
  }
}

}  // namespace evpool::bench
