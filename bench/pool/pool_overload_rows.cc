// Row 7: more tasks than the pool can run. The bounded one refuses; the others grow.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "bench/pool/pool_measure.h"

namespace evpool::bench {
namespace {

constexpr std::size_t kOfferedTasks = 1'000'000;

// A worker that runs it is busy until it is opened.
class Gate {
 public:
  void enter() {
    entered_.count_one();
    opened_.wait_for(1);
  }
  void wait_until_entered() { entered_.wait_for(1); }
  void open() { opened_.count_one(); }

 private:
  EndCounter entered_;
  EndCounter opened_;
};

struct WaitingTask {
  RunCounter* run;
  std::uint64_t number;
  void operator()() const { run->count_one(); }
};

// False: refused.
template <typename Peer>
bool offer(Peer& peer, const WaitingTask& task) {
  if constexpr (requires { peer.pool(); }) {
    return peer.pool().try_add(Task(task)) == AddResult::added;
  } else {
    peer.add(task);
    return true;
  }
}

// Twice the capacity is offered: the second half, which is refused, is timed.
void refuse(benchmark::State& state) {
  Gate gate;
  RunCounter run;
  EvpoolPeer peer(1);
  peer.add([&gate] { gate.enter(); });
  gate.wait_until_entered();
  for (std::size_t i = 0; i < kCapacityTasks; ++i) {
    if (!offer(peer, {&run, i})) state.SkipWithError("refused below the capacity");
  }
  std::size_t refused = 0;
  std::size_t offered = 0;
  const Costs costs;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kCapacityTasks; ++i) refused += offer(peer, {&run, i}) ? 0 : 1;
    offered += kCapacityTasks;
  }
  costs.report(state, static_cast<double>(offered));
  if (refused != offered) state.SkipWithError("accepted beyond the capacity");
  report_ns(state, static_cast<double>(offered));
  gate.open();
}

// What this process has in memory, of smaps_rollup: statm's figure may be off by 64 pages for each
// processor, which is all that evpool takes.
double resident_kib() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string word; rollup >> word;) {
    if (double kib = 0; word == "Rss:" && rollup >> kib) return kib;
  }
  return 0;
}

template <typename Peer>
[[noreturn]] void print_memory_of_waiting() {
  Gate gate;
  RunCounter run;
  Peer peer(1);
  peer.add([&gate] { gate.enter(); });
  gate.wait_until_entered();
  std::size_t refused = 0;
  const double before_kib = resident_kib();
  for (std::size_t i = 0; i < kOfferedTasks; ++i) refused += offer(peer, {&run, i}) ? 0 : 1;
  std::printf("%.0f %zu\n", resident_kib() - before_kib, refused);
  std::fflush(stdout);
  _exit(0);  // what waits need not run
}

std::string own_program() {
  std::string path(4096, '\0');
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  path.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return path;
}

// In a process of its own: the allocators keep what they once had, so that a second measurement in
// this one would find nothing.
void waiting_memory(benchmark::State& state, const std::string& peer) {
  const std::string command = "'" + own_program() + "' '" + kMemoryArgument + peer + "'";
  for (auto _ : state) {
    double kib = 0;
    double refused = 0;
    // NOLINTNEXTLINE(cert-env33-c): the command is this program
    FILE* const output = popen(command.c_str(), "r");
    std::array<char, 64> answer{};
    const bool answered =
        output != nullptr &&
        std::fgets(answer.data(), static_cast<int>(answer.size()), output) != nullptr;
    std::istringstream words(answer.data());
    const bool understood = answered && (words >> kib >> refused);
    if (output == nullptr || pclose(output) != 0 || !understood) {
      state.SkipWithError("cannot measure in a process of its own");
      return;
    }
    state.counters["KiB more resident"] = kib;
    state.counters["tasks refused"] = refused;
  }
}

template <typename... Peers>
int print_waiting_memory_of(PeerList<Peers...> /*peers*/, const std::string& peer) {
  ((peer == Peers::kName ? print_memory_of_waiting<Peers>() : void()), ...);
  return 2;
}

}  // namespace

int print_waiting_memory(const std::string& peer) {
  return print_waiting_memory_of(AllPeers{}, peer);
}

void add_overload_rows() {
  add_row(PeerList<EvpoolPeer>{}, "overload, its worker blocked",
          "each of " + std::to_string(kCapacityTasks) + " refused adds",
          [](benchmark::State& state, auto /*peer*/) { refuse(state); });
  add_row(
      AllPeers{}, "overload, its worker blocked", count_of(kOfferedTasks, "task") + " offered",
      [](benchmark::State& state, auto peer) {
        waiting_memory(state, decltype(peer)::type::kName);
      },
      1);
}

}  // namespace evpool::bench
