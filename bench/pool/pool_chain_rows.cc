// Rows 2 and 4: tasks that add the next one themselves, four such chains at once or a single one.
#include "bench/pool/pool_measure.h"

namespace evpool::bench {
namespace {

constexpr std::uint64_t kHops = 20'000;

template <typename Peer>
struct ChainTask {
  Peer* peer;
  EndCounter* chains;
  std::uint64_t hops_left;
  void operator()() const {
    if (hops_left == 0) {
      chains->count_one();
    } else {
      peer->add(ChainTask{peer, chains, hops_left - 1});
    }
  }
};

template <typename Peer>
void chains(benchmark::State& state, std::uint32_t chain_count, std::size_t workers) {
  EndCounter ended;
  Peer peer(workers);
  std::uint32_t started = 0;
  const Costs costs;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < chain_count; ++i) {
      peer.add(ChainTask<Peer>{&peer, &ended, kHops});
    }
    started += chain_count;
    ended.wait_for(started);
  }
  const auto tasks = static_cast<double>(started * (kHops + 1));
  costs.report(state, tasks);
  report_ns(state, tasks);
}

void add_chain_rows(const char* row, std::uint32_t chain_count) {
  for (const std::size_t workers : {1U, 2U, 4U, 8U}) {
    add_row(AllPeers{}, row, count_of(workers, "worker"), [=](benchmark::State& state, auto peer) {
      chains<typename decltype(peer)::type>(state, chain_count, workers);
    });
  }
}

}  // namespace

void add_chain_rows() { add_chain_rows("4 chains that add themselves", 4); }

// Two tasks that add each other in turn: never more than one waits.
void add_ping_pong_rows() { add_chain_rows("ping-pong", 1); }

}  // namespace evpool::bench
