#include "bench/load/arrivals.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace evpool::bench {
namespace {

// Three years: later than any run, and early enough to be added to a clock.
constexpr double kNever_ns = 1e17;

std::mt19937_64 seeded(std::uint64_t seed, std::size_t thread) {
  constexpr std::uint64_t kStream = 1;  // apart from the workload's
  std::seed_seq sequence{seed, seed >> 32U, std::uint64_t{thread}, kStream};
  return std::mt19937_64(sequence);
}

// Constant arrivals begin at once: an interval that is closed at its beginning and open at its end
// then holds as many of them as the rate makes of its length, wherever it begins. Those of several
// threads interleave: each begins a fraction of a step later.
double first_expected(const LoadOptions& options, std::size_t thread) {
  const double step = options.arrivals == Arrivals::burst ? options.burst_requests : 1;
  const double share = static_cast<double>(thread) / static_cast<double>(options.threads);
  return options.arrivals == Arrivals::poisson ? 0 : step * (share - 1);
}

// Times are rounded to whole nanoseconds. Rounding down, a request that is due exactly at the end
// of a run would be due before it wherever a rate such as 3/s cannot be divided by exactly.
constexpr double kHalf_ns = 0.5;

// How long `arrivals` of a Poisson process take, in expected arrivals.
double time_of(std::uint64_t arrivals, std::mt19937_64& random) {
  return std::gamma_distribution<double>(static_cast<double>(arrivals))(random);
}

// Below this, one by one is as fast.
constexpr std::uint64_t kFew = 16;

// How many of `count` points, anywhere between 0 and 1, are below `bound`: looks where the middle
// one is, and then only at those on the bound's side of it.
std::uint64_t points_below(double bound, std::uint64_t count, std::mt19937_64& random) {
  std::uint64_t below = 0;
  while (count >= kFew) {
    const std::uint64_t rank = (count + 1) / 2;
    const double before = time_of(rank, random);
    const double middle = before / (before + time_of(count + 1 - rank, random));
    if (middle <= bound) {
      below += rank;
      count -= rank;
      bound = (bound - middle) / (1 - middle);
    } else {
      count = rank - 1;
      bound /= middle;
    }
  }
  std::uniform_real_distribution<double> anywhere(0, 1);
  for (; count > 0; --count) below += anywhere(random) < bound ? 1 : 0;
  return below;
}

// How many arrivals of a Poisson process come where `expected` are to be expected. Exact, after
// Ahrens and Dieter (1974). Not std::poisson_distribution: it calls lgamma(), which writes to a
// variable that all threads share.
std::uint64_t poisson(double expected, std::mt19937_64& random) {
  std::uint64_t count = 0;
  while (expected >= kFew) {
    const auto jump = static_cast<std::uint64_t>(expected);
    const double time = time_of(jump, random);
    // Those before one that comes too late are anywhere before it.
    if (time > expected) return count + points_below(expected / time, jump - 1, random);
    count += jump;
    expected -= time;
  }
  std::exponential_distribution<double> gap(1.0);
  expected -= gap(random);
  while (expected > 0) {
    ++count;
    expected -= gap(random);
  }
  return count;
}

}  // namespace

ArrivalSchedule::ArrivalSchedule(const LoadOptions& options, std::size_t thread)
    : arrivals_(options.arrivals),
      rate_per_ns_(options.rate.value() / 1e9 / static_cast<double>(options.threads)),
      ramp_ns_(std::chrono::duration<double, std::nano>(options.ramp).count()),
      burst_requests_(options.burst_requests),
      random_(seeded(options.seed, thread)),
      expected_(first_expected(options, thread)) {}

double ArrivalSchedule::next_expected() {
  switch (arrivals_) {
    case Arrivals::poisson:
      return expected_ + exponential_(random_);
    case Arrivals::constant:
      return expected_ + 1;
    case Arrivals::burst:
      break;
  }
  if (left_in_burst_ > 0) {
    --left_in_burst_;
    return expected_;
  }
  left_in_burst_ = burst_requests_ - 1;
  return expected_ + burst_requests_;
}

// The rate grows linearly over the ramp, so what is expected grows with the square.
double ArrivalSchedule::expected_until(double at_ns) const {
  return at_ns < ramp_ns_ ? rate_per_ns_ * at_ns * at_ns / (2 * ramp_ns_)
                          : rate_per_ns_ * (at_ns - ramp_ns_ / 2);
}

std::uint64_t ArrivalSchedule::pass(std::chrono::nanoseconds until) {
  const double rounded_below = std::max(0.0, static_cast<double>(until.count()) - kHalf_ns);
  const double left = expected_until(rounded_below) - expected_;
  if (!(left > 0)) return 0;
  if (arrivals_ == Arrivals::poisson) {
    expected_ += left;
    return poisson(left, random_);
  }
  // What is due exactly at `until` is not due before it.
  const double step = arrivals_ == Arrivals::burst ? burst_requests_ : 1;
  const double steps = std::ceil(left / step) - 1;
  expected_ += steps * step;
  return static_cast<std::uint64_t>(steps * step) + std::exchange(left_in_burst_, 0);
}

std::chrono::nanoseconds ArrivalSchedule::next() {
  expected_ = next_expected();
  const double in_ramp = rate_per_ns_ * ramp_ns_ / 2;
  const double at_ns = expected_ < in_ramp ? std::sqrt(2 * ramp_ns_ * expected_ / rate_per_ns_)
                                           : ramp_ns_ + (expected_ - in_ramp) / rate_per_ns_;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(at_ns, kNever_ns) + kHalf_ns));
}

}  // namespace evpool::bench
