// Where every request of a run went. Nothing is clamped, nothing thrown away:
//   scheduled = sent + skipped
//   sent = ok + refused (each status but ok) + wrong + lost + unresolved
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>

#include "protocol/constants.h"

namespace evpool::bench {

struct Account {
  std::uint64_t scheduled = 0;
  std::uint64_t skipped = 0;  // due, and never sent: the run ended first
  std::uint64_t sent = 0;
  std::uint64_t ok = 0;                               // and right, where that is known
  std::array<std::uint64_t, kStatusCount> refused{};  // by status; [ok] stays 0
  std::uint64_t wrong = 0;                            // ok, with another payload than expected
  std::uint64_t lost = 0;                             // no reply in time
  std::uint64_t unresolved = 0;  // neither: the connection broke, or the run was cut short

  // Beside the balance; of all requests, those of the warm-up too.
  std::uint64_t duplicates = 0;  // replies to what had been answered
  std::uint64_t late = 0;        // replies to what had been counted as lost
  std::uint64_t unknown = 0;     // replies to what was never asked
  std::uint64_t malformed = 0;   // datagrams that are no reply
  // Datagrams that this side's kernel had no room for; with segmentation offload packets, each of
  // up to 64 datagrams (udp_queue_rcv_skb() counts what it drops once).
  std::uint64_t kernel_drops = 0;
  std::uint64_t impaired_drops = 0;  // measured requests that the generator itself did not send
  std::uint64_t impaired_duplicates = 0;
  std::uint64_t impaired_reorders = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t failed_connects = 0;  // tries to make a connection anew
  std::uint64_t connections_lost = 0;

  [[nodiscard]] std::uint64_t all_refused() const {
    return std::accumulate(refused.begin(), refused.end(), std::uint64_t{0});
  }
  [[nodiscard]] bool balances() const {
    return scheduled == sent + skipped && sent == ok + all_refused() + wrong + lost + unresolved;
  }
  void add(const Account& other);
};

}  // namespace evpool::bench
