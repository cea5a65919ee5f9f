#include "bench/sweep_verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/load/slo.h"
#include "bench/numbers.h"

namespace evpool::bench {
namespace {

constexpr double kNoticeableLoss = 0.01;
constexpr double kNoticeableShortfall = 0.05;
constexpr double kByChance_sigmas = 4;
constexpr double kNoticeableFactor = 2;

double rate_of(const LoadResult& result) { return result.options.rate.value_or(0); }

double p50_of(const LoadResult& result) {
  return static_cast<double>(result.latency.percentile_ns(50));
}

bool keeps_up(const LoadResult& result) {
  const double due = rate_of(result) * result.seconds;
  const double shortfall = std::max(kNoticeableShortfall * due, kByChance_sigmas * std::sqrt(due));
  return result.invalid.empty() && loss_of(result) < kNoticeableLoss &&
         static_cast<double>(result.account.ok) >= due - shortfall;
}

double highest_kept(std::span<const LoadResult> results) {
  double highest = 0;
  for (const LoadResult& result : results) {
    if (keeps_up(result)) highest = std::max(highest, rate_of(result));
  }
  return highest;
}

std::string way_down_text(std::span<const LoadResult> up, std::span<const LoadResult> down) {
  if (down.size() < up.size()) return "is not known: it was not measured to its end";
  bool known = false;
  double farthest = kNoticeableFactor;
  std::string slower;
  for (std::size_t i = 0; i < up.size(); ++i) {
    const LoadResult& before = up[i];
    const LoadResult& after = down[down.size() - 1 - i];
    if (before.generator_limited || after.generator_limited) continue;
    known = true;
    if (keeps_up(before) != keeps_up(after)) {
      return fmt::format("differs: {}/s is kept up with only on the way {}",
                         number_text(rate_of(before)), keeps_up(before) ? "up" : "down");
    }
    const double ratio = p50_of(after) / std::max(1.0, p50_of(before));
    const double factor = std::max(ratio, 1 / ratio);
    if (!keeps_up(before) || !(factor > farthest)) continue;
    farthest = factor;
    slower = fmt::format("differs: p50 at {}/s is {:.2g} times that of the way up",
                         number_text(rate_of(before)), ratio);
  }
  if (!known) return "is not known";
  return slower.empty() ? "does not differ" : slower;
}

}  // namespace

std::string sweep_verdict(std::span<const LoadResult> results, std::size_t rising) {
  const auto up = results.first(std::min(rising, results.size()));
  const auto down = results.subspan(up.size());
  const double kept = highest_kept(up);
  std::string verdict =
      kept > 0 ? fmt::format("keeps up with {}/s", number_text(kept)) : "keeps up with no rate";
  if (up.size() == rising && kept >= rate_of(up.back())) verdict += ", the highest";
  verdict += "; the way down " + way_down_text(up, down);
  const auto unknown = std::count_if(results.begin(), results.end(), [](const LoadResult& result) {
    return result.generator_limited;
  });
  if (unknown > 0) {
    verdict += fmt::format("; {} of {} runs say nothing, because the generator was late", unknown,
                           results.size());
  }
  return verdict;
}

}  // namespace evpool::bench
