#include "bench/load/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace evpool::bench {
namespace {

std::string to_upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

void check(const MixEntry& entry, const LoadOptions& options) {
  if (entry.job.empty() || entry.job.size() > kMaxJobNameBytes) {
    throw std::invalid_argument(
        fmt::format("a job's name has 1 to {} bytes, not {}", kMaxJobNameBytes, entry.job.size()));
  }
  if (!(entry.weight > 0) || !std::isfinite(entry.weight)) {
    throw std::invalid_argument(fmt::format("the weight of {} must be above 0", entry.job));
  }
  const SizeDistribution& size = entry.size;
  if (size.least > size.most) {
    throw std::invalid_argument(
        fmt::format("sizes from {} to {}: the first is the larger", size.least, size.most));
  }
  if (size.kind == SizeDistribution::Kind::lognormal &&
      !(size.median > 0 && size.sigma > 0 && std::isfinite(size.median + size.sigma))) {
    throw std::invalid_argument("lognormal sizes need a median and a sigma above 0");
  }
  const std::size_t most = entry.payload ? entry.payload->size() : size.most;
  const std::size_t room = kMaxDatagramBytes - kFrameHeaderBytes - entry.job.size();
  if (options.transport == Transport::udp && most > room) {
    throw std::invalid_argument(
        fmt::format("{} bytes do not fit a datagram, which has room for {} (use tcp)", most, room));
  }
}

std::uint32_t pick_size(const SizeDistribution& size, Random& random) {
  switch (size.kind) {
    case SizeDistribution::Kind::fixed:
      return size.least;
    case SizeDistribution::Kind::uniform:
      return std::uniform_int_distribution<std::uint32_t>(size.least, size.most)(random);
    case SizeDistribution::Kind::lognormal:
      break;
  }
  std::lognormal_distribution<double> distribution(std::log(size.median), size.sigma);
  return static_cast<std::uint32_t>(std::min(distribution(random), static_cast<double>(size.most)));
}

}  // namespace

Random random_for(std::uint64_t seed, std::size_t thread) {
  std::seed_seq sequence{seed, seed >> 32U, std::uint64_t{thread}};
  return Random(sequence);
}

Workload::Workload(const LoadOptions& options) {
  if (options.mix.empty()) throw std::invalid_argument("there is no job to send");
  double weight = 0;
  std::size_t largest = 0;
  for (const MixEntry& entry : options.mix) {
    check(entry, options);
    weight += entry.weight;
    Entry& added = entries_.emplace_back();
    added.asked = entry;
    added.weight_until = weight;
    added.upper_payload = to_upper(entry.payload.value_or(""));
    added.has_windows = !entry.payload;
    if (!entry.payload) largest = std::max<std::size_t>(largest, entry.size.most);
  }
  letters_.resize(largest + kLetters);
  for (std::size_t i = 0; i < letters_.size(); ++i) {
    letters_[i] = static_cast<char>('a' + i % kLetters);
  }
  upper_letters_ = to_upper(letters_);
  for (Entry& entry : entries_) {
    const auto& fixed = entry.asked.payload;
    entry.payload = fixed ? fixed->data() : letters_.data();
    if (!options.verify) continue;
    if (entry.asked.job == "echo") entry.right_reply = entry.payload;
    if (entry.asked.job == "upper") {
      entry.right_reply = fixed ? entry.upper_payload.data() : upper_letters_.data();
    }
  }
  const MixEntry& first = entries_.front().asked;
  if (entries_.size() == 1 && (first.payload || first.size.kind == SizeDistribution::Kind::fixed)) {
    only_kind_ = {.entry = 0,
                  .bytes = first.payload ? static_cast<std::uint32_t>(first.payload->size())
                                         : first.size.least};
  }
}

Workload::Kind Workload::pick_at_random(Random& random) const {
  std::uint32_t chosen = 0;
  if (entries_.size() > 1) {
    const double at =
        std::uniform_real_distribution<double>(0, entries_.back().weight_until)(random);
    while (chosen + 1 < entries_.size() && at >= entries_[chosen].weight_until) ++chosen;
  }
  const MixEntry& asked = entries_[chosen].asked;
  return {.entry = chosen,
          .bytes = asked.payload ? static_cast<std::uint32_t>(asked.payload->size())
                                 : pick_size(asked.size, random)};
}

}  // namespace evpool::bench
