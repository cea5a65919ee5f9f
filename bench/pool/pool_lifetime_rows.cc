// Row 6: what it costs to have a pool at all. TBB starts threads only when there is work, and keeps
// them for the next arena; so it is the one peer that starts and joins none here.
#include "bench/pool/pool_measure.h"

namespace evpool::bench {
namespace {

constexpr std::size_t kWorkers = 2;

template <typename Peer>
void create_and_destroy(benchmark::State& state, bool with_task) {
  std::uint32_t created = 0;
  EndCounter ran;
  const Costs costs;
  for (auto _ : state) {
    Peer peer(kWorkers);
    ++created;
    if (with_task) {
      peer.add([&ran] { ran.count_one(); });
      ran.wait_for(created);
    }
  }
  costs.report(state, created);
  report_ns(state, created);
}

}  // namespace

void add_lifetime_rows() {
  for (const bool with_task : {false, true}) {
    add_row(AllPeers{},
            with_task ? "create, run a task, destroy (TBB keeps its threads)"
                      : "create, destroy (TBB starts no thread)",
            count_of(kWorkers, "worker"), [=](benchmark::State& state, auto peer) {
              create_and_destroy<typename decltype(peer)::type>(state, with_task);
            });
  }
}

}  // namespace evpool::bench
