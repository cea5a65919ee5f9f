#include "bench/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "bench/load/datagrams.h"
#include "bench/numbers.h"
#include "protocol/address.h"

namespace evpool::bench {
namespace {

constexpr std::array kPercentiles = {50.0, 90.0, 99.0, 99.9, 99.99};

template <typename... Arguments>
void append(std::string& text, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  fmt::format_to(std::back_inserter(text), format, std::forward<Arguments>(arguments)...);
}

std::string describe_size(const MixEntry& entry) {
  if (entry.payload) return fmt::format("{} bytes", entry.payload->size());
  const SizeDistribution& size = entry.size;
  switch (size.kind) {
    case SizeDistribution::Kind::fixed:
      return fmt::format("{} bytes", size.least);
    case SizeDistribution::Kind::uniform:
      return fmt::format("{} to {} bytes", size.least, size.most);
    case SizeDistribution::Kind::lognormal:
      return fmt::format("lognormal bytes (median {:g}, sigma {:g}, at most {})", size.median,
                         size.sigma, size.most);
  }
  return "bytes";
}

std::string describe_mix(const std::vector<MixEntry>& mix) {
  double all_weights = 0;
  for (const MixEntry& entry : mix) all_weights += entry.weight;
  std::string text;
  for (const MixEntry& entry : mix) {
    if (!text.empty()) text += ", ";
    if (mix.size() > 1 && all_weights > 0) {
      append(text, "{:.3g} % ", 100 * entry.weight / all_weights);
    }
    append(text, "{} of {}", describe_size(entry), entry.job);
  }
  return text;
}

void append_rate(std::string& text, const LoadResult& result) {
  append(text, "{} jobs/s  {}, {:.2f} s\n", number_text(result.jobs_per_second()),
         describe_load(result.options), result.seconds);
}

void append_latencies_of(std::string& text, std::string_view name,
                         const LatencyHistogram& histogram) {
  append(text, "{:<14}", name);
  if (histogram.count() == 0) {
    text += "  nothing measured\n";
    return;
  }
  const auto append_us = [&](std::uint64_t nanoseconds) {
    append(text, " {:>11.1f}", static_cast<double>(nanoseconds) / 1000);
  };
  for (const double percent : kPercentiles) append_us(histogram.percentile_ns(percent));
  append_us(histogram.max_ns());
  text += '\n';
}

void append_latencies(std::string& text, const LoadResult& result) {
  const bool open_loop = result.options.rate.has_value();
  append(text, "{:<14}", "us");
  for (const double percent : kPercentiles) append(text, " {:>11}", fmt::format("p{:g}", percent));
  append(text, " {:>11}\n", "max");
  append_latencies_of(text, "latency", result.latency);
  if (!open_loop) return;
  append_latencies_of(text, "service", result.service);
  append_latencies_of(text, "generator lag", result.lag);
  text += "latency counts from when a request was due, service from when it was sent\n";
}

// Two sums whose terms are all printed, so that a reader can check them.
void append_balance(std::string& text, const Account& account) {
  append(text, "scheduled {} = sent {} + skipped {}\n", account.scheduled, account.sent,
         account.skipped);
  append(text, "sent {} = ok {}", account.sent, account.ok);
  bool any_refused = false;
  for (std::uint8_t i = 0; i < kStatusCount; ++i) {
    if (account.refused[i] == 0) continue;
    append(text, " + {} {}", name_of(static_cast<Status>(i)), account.refused[i]);
    any_refused = true;
  }
  if (!any_refused) text += " + refused 0";
  append(text, " + wrong {} + lost {} + unresolved {}\n", account.wrong, account.lost,
         account.unresolved);
  if (!account.balances()) text += "THE ACCOUNT DOES NOT BALANCE: the generator has a defect\n";
}

void append_beside_the_balance(std::string& text, const LoadResult& result) {
  const Account& account = result.account;
  append(text,
         "beside it: duplicates {}, late {}, unknown {}, malformed {}, {} by the kernel here {}",
         account.duplicates, account.late, account.unknown, account.malformed,
         result.offload_used ? "packets dropped" : "dropped", account.kernel_drops);
  if (const auto drops = drops_at_server(result)) append(text, ", at the server {}", *drops);
  text += what_a_drop_is(result);
  text += '\n';
  if (result.options.transport == Transport::udp && account.lost > 0) {
    append(text, "of the lost {}, without an address {}: not late, and dropped by none of these\n",
           account.lost, lost_without_address(result));
  }
  if (result.options.impairment.any()) {
    append(text, "impaired on purpose: dropped {}, duplicated {}, reordered {}\n",
           account.impaired_drops, account.impaired_duplicates, account.impaired_reorders);
  }
  if (account.reconnects > 0 || account.failed_connects > 0 || account.connections_lost > 0) {
    append(text, "connections: lost {}, reconnects {}, failed connects {}\n",
           account.connections_lost, account.reconnects, account.failed_connects);
  }
}

void append_generator(std::string& text, const LoadResult& result) {
  if (result.held_back > 0) {
    append(text,
           "held back {}: due while no connection had a place in flight free; raise --in-flight "
           "or --connections, or the schedule is not kept\n",
           result.held_back);
  }
  const auto cpu_us = cpu_us_per_job(result);
  const auto calls = calls_per_job(result);
  if (!cpu_us || !calls) return;
  append(text, "generator: {:.2f} us of CPU and {:.3f} system calls a request", *cpu_us, *calls);
  if (result.options.transport == Transport::udp) {
    text += result.offload_used ? ", segmentation offload used" : ", no segmentation offload";
  }
  text += '\n';
}

void append_server(std::string& text, const LoadResult& result) {
  if (result.server.empty()) return;
  std::string counted;
  for (const auto& [name, count] : result.server) {
    if (count > 0) append(counted, "{}{} {}", counted.empty() ? "" : ", ", name, count);
  }
  append(text, "server: {}\n", counted.empty() ? "counted nothing" : counted);
}

std::optional<double> per_sent(const LoadResult& result, double quantity) {
  if (result.account.sent == 0) return std::nullopt;
  return quantity / static_cast<double>(result.account.sent);
}

}  // namespace

std::string report_text(const LoadResult& result) {
  std::string text;
  if (const auto wrong = describe_wrong(result)) append(text, "WRONG: {}\n", *wrong);
  if (!result.invalid.empty()) append(text, "INVALID: {}\n", join_reasons(result));
  append_rate(text, result);
  if (result.interrupted) text += "interrupted before its end\n";
  append_latencies(text, result);
  append_balance(text, result.account);
  append_beside_the_balance(text, result);
  append_generator(text, result);
  append_server(text, result);
  return text;
}

std::string essential_line(const LoadResult& result) {
  std::string text;
  if (result.account.wrong > 0) text += "WRONG: ";
  if (!result.invalid.empty()) text += "INVALID: ";
  append(text, "{} jobs/s", number_text(result.jobs_per_second()));
  if (result.latency.count() == 0) return text;
  const auto us = [](std::uint64_t ns) { return number_text(static_cast<double>(ns) / 1e3); };
  append(text, ", p50 {} us, p99 {} us, max {} us", us(result.latency.percentile_ns(50)),
         us(result.latency.percentile_ns(99)), us(result.latency.max_ns()));
  return text;
}

std::string describe_model(const LoadOptions& options) {
  const std::string in_flight =
      fmt::format("{} x {} in flight", options.connections, options.in_flight);
  if (!options.rate) return "closed loop, " + in_flight;
  std::string arrivals;
  switch (options.arrivals) {
    case Arrivals::poisson:
      arrivals = "Poisson";
      break;
    case Arrivals::constant:
      arrivals = "evenly spaced";
      break;
    case Arrivals::burst:
      arrivals = fmt::format("in bursts of {}", options.burst_requests);
      break;
  }
  return fmt::format("open loop at {}/s {}, at most {}", number_text(*options.rate), arrivals,
                     in_flight);
}

std::string describe_load(const LoadOptions& options) {
  return fmt::format("{} to {}, {}, {}", transport_name(options.transport),
                     to_string(options.server), describe_model(options), describe_mix(options.mix));
}

std::string join_reasons(const LoadResult& result) {
  return fmt::format("{}", fmt::join(result.invalid, "; "));
}

std::optional<std::string> describe_wrong(const LoadResult& result) {
  const Account& account = result.account;
  if (account.wrong == 0) return std::nullopt;
  return fmt::format(
      "{} of {} replies were not what the job must give (the server is wrong, or something on the "
      "way to it changes what is sent)",
      account.wrong, account.ok + account.wrong);
}

std::optional<double> cpu_us_per_job(const LoadResult& result) {
  return per_sent(result, result.cpu_seconds * 1e6);
}

std::optional<double> calls_per_job(const LoadResult& result) {
  return per_sent(result, static_cast<double>(result.send_calls + result.receive_calls));
}

std::optional<std::uint64_t> drops_at_server(const LoadResult& result) {
  for (const auto& [name, count] : result.server) {
    if (name == "datagrams_dropped") return count;  // server/statistics.h
  }
  return std::nullopt;
}

std::string what_a_drop_is(const LoadResult& result) {
  return result.offload_used ? fmt::format(", of up to {} datagrams each", kMostSegments) : "";
}

std::string lost_without_address(const LoadResult& result) {
  const Account& account = result.account;
  const std::uint64_t drops = account.kernel_drops + drops_at_server(result).value_or(0);
  // The drops are of all datagrams, the lost only the measured ones: they may be fewer.
  const auto left_of_lost = [&](std::uint64_t dropped) {
    const std::uint64_t told_of = account.impaired_drops + account.late + dropped;
    return account.lost - std::min(account.lost, told_of);
  };
  const std::uint64_t most = left_of_lost(drops);
  const std::uint64_t least = result.offload_used ? left_of_lost(kMostSegments * drops) : most;
  return least == most ? std::to_string(most) : fmt::format("{} to {}", least, most);
}

std::string provenance_text(const Provenance& provenance) {
  std::string text = "## Measured with\n\n";
  for (const auto& [name, value] : provenance.facts) append(text, "- {}: {}\n", name, value);
  return text;
}

std::string_view transport_name(Transport transport) {
  return transport == Transport::udp ? "udp" : "tcp";
}

std::string_view arrivals_name(Arrivals arrivals) {
  switch (arrivals) {
    case Arrivals::poisson:
      return "poisson";
    case Arrivals::constant:
      return "constant";
    case Arrivals::burst:
      return "burst";
  }
  return "";
}

}  // namespace evpool::bench
