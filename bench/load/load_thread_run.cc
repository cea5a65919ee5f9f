// The course of a run: how it begins, goes round, breaks off and ends.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "bench/load/load_thread.h"
#include "bench/load/system.h"

namespace evpool::bench {
namespace {

// How long a thread listens for duplicates after the last datagram that it has waited for. Longer
// than a queue on the way holds one back, short beside any run; docs/benchmarks.md names it.
constexpr std::chrono::milliseconds kGrace{100};
// How often a thread looks up although nothing has happened.
constexpr std::chrono::milliseconds kTick{10};
// Over UDP, fewer may be lost one after the other while the server is well.
constexpr std::uint64_t kFewDatagrams = 3;

}  // namespace

void LoadThread::end_intervals() {
  while (now_ >= interval_until_) {
    part_->in_flight = requests_.pending();
    run_.collector.deliver(interval_index_++, *part_);
    *part_ = {};
    interval_until_ += options_.interval;
  }
}

LoadThread::Clock::time_point LoadThread::next_event() {
  auto next = std::min(now_ + kTick, interval_until_);
  // Without a place in flight, too: that it was missing then must be seen, or it would count as
  // lag.
  if (arrivals_ && next_due_ < send_until_ && !no_place_) next = std::min(next, next_due_);
  if (is_sending()) next = std::min(next, send_until_);
  if (const Request* const oldest = requests_.oldest(); oldest != nullptr) {
    next = std::min(next, oldest->sent + options_.timeout);
  }
  return next;
}

void LoadThread::obey_stop_requests() {
  if (run_.stop_requests.load(std::memory_order_relaxed) > 0) {
    send_until_ = std::min(send_until_, now_);
  }
  if (sockets_.counts().refused && result_.answered == 0) {
    throw std::runtime_error(
        fmt::format("nobody listens at udp {} (is evpoold running?)", to_string(options_.server)));
  }
}

// For what nobody waits for any more, and datagrams bring nevertheless: duplicates, above all.
void LoadThread::listen_on() {
  const Clock::time_point until = now_ + kGrace;
  while (now_ < until && !run_.failed.load(std::memory_order_relaxed) &&
         run_.stop_requests.load(std::memory_order_relaxed) <= 1) {
    poll(std::min(now_ + kTick, until));
    flush();
  }
}

// `ended`: when nothing was waited for any more.
void LoadThread::settle(Clock::time_point ended) {
  requests_.visit_pending([this](const Request& request) { count_unresolved(request); });
  result_.account.kernel_drops = sockets_.kernel_drops();

  const auto seconds_until = [this](Clock::time_point time) {
    return std::chrono::duration<double>(time - warm_until_).count();
  };
  // Earlier than was planned when no connection is left.
  const auto sending_ended = std::clamp(send_until_, warm_until_, std::max(warm_until_, ended));
  result_.seconds = seconds_until(std::max(last_reply_, sending_ended));
  result_.sending_s = seconds_until(sending_ended);
  result_.ended_s = seconds_until(ended);
  if (given_up_since_reply_ >= (is_udp() ? kFewDatagrams : 1)) {
    result_.silent_s = std::max(0.0, seconds_until(sending_ended) - seconds_until(last_reply_));
  }

  if (!is_over_and_empty(sending_ended)) {
    part_->in_flight = requests_.pending();
    part_->cut_short = true;
    run_.collector.deliver(interval_index_++, *part_);
  }
  result_.intervals = interval_index_;
}

// Whether the interval that has begun has nothing to tell.
bool LoadThread::is_over_and_empty(Clock::time_point sending_ended) const {
  const auto begin = interval_until_ - options_.interval;
  const bool any =
      part_->sent > 0 || part_->ok > 0 || part_->refused > 0 || part_->wrong > 0 || part_->lost > 0;
  return begin > warm_until_ && begin >= sending_ended && !any;
}

// What the generator itself costs counts from the end of the warm-up on.
void LoadThread::begin_own_cost() {
  cpu_before_s_ = thread_cpu_seconds();
  calls_before_ = sockets_.counts();
}

void LoadThread::send_and_receive() {
  while (!run_.failed.load(std::memory_order_relaxed)) {
    obey_stop_requests();
    if (!cpu_before_s_ && now_ >= warm_until_) begin_own_cost();
    if (!retries_.empty()) retry_connecting();
    send_due();
    flush();
    expire();
    end_intervals();
    if (sockets_.any_marked()) continue;  // expired requests have made room for others
    if (!is_sending() && !is_behind() && requests_.pending() == 0) break;
    if (sockets_.open_count() == 0 && retries_.empty()) break;
    if (run_.stop_requests.load(std::memory_order_relaxed) > 1) break;
    poll(next_event());
  }
}

// The other threads end, too; what was counted until now is reported.
void LoadThread::break_off(const std::exception& error) {
  result_.broke_off = error.what();
  run_.failed.store(true);
}

ThreadResult LoadThread::work() {
  ramp_until_ = run_.begin + options_.ramp;
  warm_until_ = ramp_until_ + options_.warm_up;
  send_until_ = warm_until_ + options_.duration;
  interval_until_ = warm_until_ + options_.interval;
  no_place_until_ = run_.begin;
  last_reply_ = warm_until_;
  now_ = Clock::now();
  if (arrivals_) next_due_ = run_.begin + arrivals_->next();
  if (measured_left_ == 0) send_until_ = warm_until_;
  try {
    send_and_receive();
  } catch (const std::runtime_error& error) {
    break_off(error);
  }
  const bool failed = run_.failed.load();
  if (failed || run_.stop_requests.load(std::memory_order_relaxed) > 0) {
    send_until_ = std::min(send_until_, now_);
  }
  const Clock::time_point ended = now_;
  if (!cpu_before_s_) begin_own_cost();
  skip_the_rest();
  try {
    if (is_udp() && !failed) listen_on();
  } catch (const std::runtime_error& error) {
    break_off(error);
  }
  settle(ended);
  result_.cpu_seconds = thread_cpu_seconds() - *cpu_before_s_;
  const SocketSet::Counts& calls = sockets_.counts();
  result_.send_calls = calls.send_calls - calls_before_.send_calls;
  result_.receive_calls = calls.receive_calls - calls_before_.receive_calls;
  result_.offload_used = calls.offload_used;
  return result_;
}

}  // namespace evpool::bench
