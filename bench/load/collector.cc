#include "bench/load/collector.h"

#include <algorithm>
#include <utility>

namespace evpool::bench {
namespace {

IntervalRow row_of(double begin_s, double length_s, const IntervalPart& sum) {
  return {
      .begin_s = begin_s,
      .length_s = length_s,
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
  };
}

}  // namespace

void Collector::add(const IntervalPart& part, IntervalPart& sum) {
  sum.sent += part.sent;
  sum.ok += part.ok;
  sum.refused += part.refused;
  sum.wrong += part.wrong;
  sum.lost += part.lost;
  sum.in_flight += part.in_flight;
  sum.cut_short |= part.cut_short;
  sum.latency.merge(part.latency);
  sum.lag.merge(part.lag);
}

void Collector::deliver(std::size_t index, const IntervalPart& part) {
  const std::lock_guard lock(mutex_);
  Gathering& gathering = gathering_[index];
  add(part, gathering.sum);
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
    auto node = gathering_.extract(oldest);
    lock.unlock();
    make_row(node.key(), node.mapped().sum);
    if (on_row && !last_.cut_short) on_row(series_.back());
    lock.lock();
  }
}

void Collector::end_series(double ended_s) {
  if (series_.empty()) return;
  constexpr double kLeast_s = 1e-6;  // what a CSV still shows
  IntervalRow& last = series_.back();
  last.length_s = std::clamp(ended_s - last.begin_s, kLeast_s, interval_s_);
  if (series_.size() < 2 || last.length_s >= interval_s_ / 2) return;
  const double rest_s = last.length_s;
  series_.pop_back();
  const double begin_s = series_.back().begin_s;
  series_.pop_back();
  before_last_.in_flight = 0;  // what counts is how many there were at the end
  add(last_, before_last_);
  series_.push_back(row_of(begin_s, interval_s_ + rest_s, before_last_));
}

void Collector::make_row(std::size_t index, IntervalPart sum) {
  latency_.merge(sum.latency);
  lag_.merge(sum.lag);
  series_.push_back(row_of(static_cast<double>(index) * interval_s_, interval_s_, sum));
  before_last_ = std::exchange(last_, sum);
}

}  // namespace evpool::bench
