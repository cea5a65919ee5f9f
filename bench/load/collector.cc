#include "bench/load/collector.h"

#include <algorithm>
#include <utility>

namespace evpool::bench {

void Collector::deliver(std::size_t index, const IntervalPart& part) {
  const std::lock_guard lock(mutex_);
  Gathering& gathering = gathering_[index];
  IntervalPart& sum = gathering.sum;
  sum.sent += part.sent;
  sum.ok += part.ok;
  sum.refused += part.refused;
  sum.wrong += part.wrong;
  sum.lost += part.lost;
  sum.in_flight += part.in_flight;
  sum.latency.merge(part.latency);
  sum.lag.merge(part.lag);
  ++gathering.parts;
  changed_.notify_one();
}

void Collector::finish(std::size_t intervals) {
  const std::lock_guard lock(mutex_);
  finished_after_.push_back(intervals);
  --running_;
  changed_.notify_one();
}

// Every thread has delivered its part, or has finished before it.
bool Collector::is_complete(std::size_t index, const Gathering& gathering) const {
  const auto without = std::count_if(finished_after_.begin(), finished_after_.end(),
                                     [&](std::size_t intervals) { return intervals <= index; });
  return running_ == 0 || gathering.parts + static_cast<std::size_t>(without) == threads_;
}

void Collector::wait(const std::function<void(const IntervalRow&)>& on_row) {
  std::unique_lock lock(mutex_);
  while (running_ > 0 || !gathering_.empty()) {
    // The oldest first: who delivers a later interval has delivered this one.
    const auto oldest = gathering_.begin();
    if (oldest == gathering_.end() || !is_complete(oldest->first, oldest->second)) {
      changed_.wait(lock);
      continue;
    }
    const auto node = gathering_.extract(oldest);
    lock.unlock();
    make_row(node.key(), node.mapped().sum);
    if (on_row) on_row(series_.back());
    lock.lock();
  }
}

void Collector::make_row(std::size_t index, const IntervalPart& sum) {
  latency_.merge(sum.latency);
  lag_.merge(sum.lag);
  series_.push_back({
      .begin_s = static_cast<double>(index) * interval_s_,
      .length_s = interval_s_,
      .sent = sum.sent,
      .ok = sum.ok,
      .refused = sum.refused,
      .wrong = sum.wrong,
      .lost = sum.lost,
      .in_flight = sum.in_flight,
      .p50_ns = sum.latency.percentile_ns(50),
      .p99_ns = sum.latency.percentile_ns(99),
      .max_ns = sum.latency.max_ns(),
      .lag_max_ns = sum.lag.max_ns(),
  });
}

}  // namespace evpool::bench
