#include "bench/load/faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace evpool::bench {
namespace {

bool is_udp(const LoadResult& result) { return result.options.transport == Transport::udp; }

double share_of(std::uint64_t part, std::uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// As many as would move a p99.
constexpr double kNoticeableShare = 0.01;

void find_unsent(const LoadResult& result, Faults& faults) {
  // Of the time of its threads: more is hardly to be had where others want the CPU, too.
  constexpr double kBusy = 0.9;
  const Account& account = result.account;
  if (account.skipped == 0) return;
  const double all_s = result.seconds * static_cast<double>(result.options.threads);
  const double busy = all_s > 0 ? std::min(1.0, result.cpu_seconds / all_s) : 0;
  if (busy > kBusy) {
    faults.generator_limited = true;
    faults.reasons.push_back(
        fmt::format("{} of {} requests were due and never sent, and the generator was busy for "
                    "{:.0f} % of the time: it, and not the server, may be the limit (use a lower "
                    "rate, more threads, or another machine)",
                    account.skipped, account.scheduled, busy * 100));
    return;
  }
  faults.reasons.push_back(fmt::format(
      "{} of {} requests were due and never sent, because no connection had a place in flight "
      "free (the server is slower than this rate, or more in flight or connections are needed)",
      account.skipped, account.scheduled));
}

// A server that answers nothing more has not served the load to its end, even if it has lost no
// more than what was in flight: a closed loop sends nothing else then.
void find_silence(const LoadResult& result, Faults& faults) {
  constexpr double kLongestSilence = 0.1;  // of the time in which requests were sent
  if (!(result.silent_s > kLongestSilence * result.sending_s)) return;
  faults.reasons.push_back(
      fmt::format("the server answered nothing in the last {:.2f} s of the {:.2f} s in which "
                  "requests were sent (has it stopped, or does it hang? its log may say why)",
                  result.silent_s, result.sending_s));
}

// Over TCP nothing is lost but by a server that is slower than the timeout. Datagrams may be, and
// how many is a finding; but of a latency that a tenth of the requests has no part in, the
// percentiles say nothing. What the generator has dropped itself was asked for.
void find_losses(const LoadResult& result, Faults& faults) {
  constexpr double kMostDatagrams = 0.1;
  const Account& account = result.account;
  const std::uint64_t lost = account.lost - std::min(account.lost, account.impaired_drops);
  if (!(share_of(lost, account.scheduled) > (is_udp(result) ? kMostDatagrams : kNoticeableShare))) {
    return;
  }
  faults.reasons.push_back(fmt::format(
      "{} of {} requests were lost: they had no reply within {} ms, and the percentiles leave them "
      "out, so that the true ones are higher (use a lower load, or a longer timeout)",
      lost, account.scheduled, result.options.timeout.count()));
}

// What is left of a closed loop is a loop with fewer in flight. An open one offers the same load
// over the others.
void find_broken_connections(const LoadResult& result, Faults& faults) {
  const Account& account = result.account;
  const std::uint64_t connections = result.options.connections;
  const double share = share_of(account.connections_lost, connections);
  if (share >= 1) {
    faults.reasons.push_back(fmt::format(
        "all {} connections broke before the end, so only the time until then has been measured "
        "(has the server ended? its log may say why)",
        connections));
  } else if (share > (result.options.rate ? kNoticeableShare : 0)) {
    faults.reasons.push_back(fmt::format(
        "{} of {} connections broke, and the load was another one from then on (look at the "
        "server's log and its limits on connections and descriptors, or use fewer connections)",
        account.connections_lost, connections));
  }
  if (share_of(account.unresolved, account.scheduled) > kNoticeableShare) {
    faults.reasons.push_back(fmt::format(
        "{} of {} requests are unresolved: their connections broke, or the run was cut short, and "
        "how they would have ended nobody knows",
        account.unresolved, account.scheduled));
  }
}

// With --reconnect-every, a connection that could not be made anew is missing from the load.
void find_failed_connects(const LoadResult& result, Faults& faults) {
  const Account& account = result.account;
  const std::uint64_t tries = account.reconnects + account.failed_connects;
  const double share = share_of(account.failed_connects, tries);
  if (!(share > (result.options.rate ? kNoticeableShare : 0))) return;
  faults.reasons.push_back(fmt::format(
      "{} of {} tries to make a connection anew failed: {}; the load was another one meanwhile "
      "(look at the server's log and its limits, and at the ports that are left here: ss -s)",
      account.failed_connects, tries, result.connect_failure));
}

void find_lag(const LoadResult& result, Faults& faults) {
  constexpr std::uint64_t kNoticeableLag_ns = 1'000'000;
  const std::uint64_t lag_ns = result.lag.percentile_ns(99);
  if (lag_ns <= kNoticeableLag_ns || lag_ns <= result.latency.percentile_ns(99) / 2) return;
  faults.generator_limited = true;
  faults.reasons.push_back(fmt::format(
      "the generator could not keep its schedule: it sent 1 % of the requests {:.1f} ms or more "
      "after they were due (use a lower rate, more threads, or another machine)",
      static_cast<double>(lag_ns) / 1e6));
}

}  // namespace

Faults find_faults(const LoadResult& result) {
  Faults faults;
  if (!result.broke_off.empty()) {
    faults.reasons.push_back(fmt::format("the run broke off: {}", result.broke_off));
  }
  if (!result.account.balances()) {
    faults.reasons.emplace_back("the account does not balance: a defect");
    faults.generator_limited = true;
  }
  if (result.account.ok == 0) {
    faults.reasons.emplace_back("no reply was ok, so nothing has been measured");
  }
  find_unsent(result, faults);
  find_silence(result, faults);
  find_losses(result, faults);
  find_broken_connections(result, faults);
  find_failed_connects(result, faults);
  find_lag(result, faults);
  return faults;
}

}  // namespace evpool::bench
