#include "bench/load/load_thread.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "bench/load/system.h"
#include "client/client.h"

namespace evpool::bench {
namespace {

// Between two tries to make a connection anew: a server that begins again is found soon, and one
// that refuses is not flooded.
constexpr std::chrono::milliseconds kRetryPause{50};

std::uint64_t ns(std::chrono::steady_clock::duration duration) {
  const auto count = std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
  return count > 0 ? static_cast<std::uint64_t>(count) : 0;
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  const int error = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
  if (error == 0) return;
  throw std::runtime_error(fmt::format("cannot pin a thread to CPU {}: {}", cpu,
                                       std::strerror(error)));  // NOLINT(concurrency-mt-unsafe)
}

// Of `total`, divided among all threads.
std::uint64_t share_of(std::uint64_t total, const LoadOptions& options, std::size_t thread) {
  return total / options.threads + (thread < total % options.threads ? 1 : 0);
}

}  // namespace

LoadThread::LoadThread(LoadRun& run, std::size_t thread)
    : run_(run),
      options_(run.options),
      thread_(thread),
      has_ids_(run.dialect.has_ids()),
      timeout_ms_(static_cast<std::uint32_t>(options_.deadline.value_or(options_.timeout).count())),
      random_(random_for(options_.seed, thread)),
      sockets_(options_, run.dialect, share_of(options_.connections, options_, thread), random_,
               result_.account),
      connections_(share_of(options_.connections, options_, thread)),
      late_left_(connections_.size() * options_.in_flight),
      measured_left_(options_.count ? share_of(*options_.count, options_, thread) : UINT64_MAX) {
  if (options_.rate) arrivals_.emplace(options_, thread);
}

void LoadThread::connect() {
  if (!options_.pin.empty()) pin_to(options_.pin[thread_ % options_.pin.size()]);
  // The default, 50 us, would be added to each wait for the next request's time.
  prctl(PR_SET_TIMERSLACK, 1);
  for (std::uint32_t i = 0; i < connections_.size(); ++i) open(i);
}

// --- Connections -------------------------------------------------------------------------------

void LoadThread::open(std::uint32_t index) {
  sockets_.open(index);
  offer(index);
}

// When it has sent as many requests as it was to, and has had all its replies.
void LoadThread::reopen(std::uint32_t index) {
  sockets_.close(index);
  connections_[index].order.clear();
  connections_[index].requests = 0;
  const Clock::time_point begun = Clock::now();
  if (!connect_again(index, begun)) {
    now_ = Clock::now();
    retries_.push_back({.connection = index, .since = begun, .at = now_ + kRetryPause});
  }
}

// False: it could not be connected.
bool LoadThread::connect_again(std::uint32_t index, Clock::time_point since) {
  try {
    open(index);
  } catch (const ConnectError& error) {
    ++result_.account.failed_connects;
    if (result_.connect_failure.empty()) result_.connect_failure = error.what();
    // For as long as a reply may take; a server that is gone must not be waited for.
    if (Clock::now() - since < options_.timeout) return false;
    ++result_.account.connections_lost;
    return true;
  }
  ++result_.account.reconnects;
  use_room(index);
  return true;
}

// At most one in each round: others have replies to be read meanwhile.
void LoadThread::retry_connecting() {
  if (!is_sending()) {
    retries_.clear();
    return;
  }
  const auto due = std::find_if(retries_.begin(), retries_.end(),
                                [this](const Retry& retry) { return retry.at <= now_; });
  if (due == retries_.end()) return;
  const bool done = connect_again(due->connection, due->since);
  now_ = Clock::now();
  if (done) {
    retries_.erase(due);
  } else {
    due->at = now_ + kRetryPause;
  }
}

// Of all connections that have been closed: one look at each request, however many there are, for
// a server that ends breaks them all.
void LoadThread::give_up_requests_of_closed() {
  requests_.visit_pending([&](Request& request) {
    if (sockets_.is_usable(request.connection)) return;
    count_unresolved(request);
    requests_.end(request, Fate::unknown);
    free_places(request.connection, 1);
  });
}

void LoadThread::count_unresolved(const Request& request) {
  if (!is_measured(request)) return;
  ++result_.account.unresolved;
  ++given_up_since_reply_;
}

// How many requests it can take now.
std::uint64_t LoadThread::room_of(std::uint32_t index) const {
  if (!sockets_.is_usable(index)) return 0;
  const Connection& connection = connections_[index];
  const std::uint64_t room = options_.in_flight - connection.in_flight;
  if (options_.reconnect_every == 0) return room;
  return std::min(room, options_.reconnect_every - connection.requests);
}

void LoadThread::use_room(std::uint32_t index) { arrivals_ ? offer(index) : fill(index); }

// Lets it take its turn among those that can take the next request of an open loop.
void LoadThread::offer(std::uint32_t index) {
  Connection& connection = connections_[index];
  if (!arrivals_ || connection.waits_in_line || room_of(index) == 0) return;
  connection.waits_in_line = true;
  available_.push_back(index);
}

// --- Sending -----------------------------------------------------------------------------------

void LoadThread::send_due() {
  if (!arrivals_) {
    // The ramp of a closed loop: its connections begin one after the other.
    const auto count = static_cast<std::uint32_t>(connections_.size());
    const double begun = now_ >= ramp_until_ ? 1
                                             : std::chrono::duration<double>(now_ - run_.begin) /
                                                   std::chrono::duration<double>(options_.ramp);
    while (started_ < count && started_ < begun * count) fill(started_++);
    return;
  }
  // A round sends no more than the clock can be taken to stand still for: then what has been made
  // is flushed, replies are read and the clock is, or the generator's own work on a burst would be
  // the server's latency.
  std::size_t requests = 0;
  std::size_t bytes = 0;
  while (next_due_ <= now_ && next_due_ < send_until_) {
    if (requests == outgoing_.size() || bytes >= SocketSet::kFlushBytes) return;
    if (available_.empty() || (now_ >= send_until_ && late_left_ == 0)) {
      no_place_ = true;
      break;
    }
    if (std::exchange(no_place_, false)) no_place_until_ = now_;
    const std::uint32_t index = available_.front();
    available_.pop_front();
    connections_[index].waits_in_line = false;
    if (room_of(index) == 0) continue;
    if (now_ >= send_until_) --late_left_;
    bytes += send(index, next_due_, 1);
    ++requests;
    offer(index);
    next_due_ = run_.begin + arrivals_->next();
  }
  if (now_ >= send_until_) skip_the_rest();
}

// Nothing more will be sent: counts what is left of the schedule.
void LoadThread::skip_the_rest() {
  if (!arrivals_ || next_due_ >= send_until_) return;
  std::uint64_t skipped = 1;
  if (next_due_ < warm_until_) {
    static_cast<void>(arrivals_->pass(warm_until_ - run_.begin));
    skipped = 0;
  }
  skipped += arrivals_->pass(send_until_ - run_.begin);
  next_due_ = send_until_;
  skipped = std::min(skipped, measured_left_);
  measured_left_ -= skipped;
  result_.account.scheduled += skipped;
  result_.account.skipped += skipped;
}

// Closed loop: as many requests as are to be in flight.
void LoadThread::fill(std::uint32_t index) {
  while (is_sending()) {
    const std::uint64_t room = room_of(index);
    if (room == 0) return;
    send(index, now_, room);
  }
}

// At least one request, and at most `most`; how many, is what a batch holds. Returns the bytes of
// their payloads.
std::size_t LoadThread::send(std::uint32_t index, Clock::time_point due, std::uint64_t most) {
  Connection& connection = connections_[index];
  const bool measured = due >= warm_until_;
  if (measured) most = std::min(most, measured_left_);
  most = std::min<std::uint64_t>(most, outgoing_.size());
  std::size_t count = 0;
  std::size_t bytes = 0;
  while (count < most && bytes < SocketSet::kFlushBytes) {
    const Request& request = requests_.add(due, now_, index, run_.workload.pick(random_));
    if (!has_ids_) connection.order.push_back(request.number);
    bytes += request.kind.bytes;
    outgoing_[count++] = {.id = RequestTable::id_of(request.number),
                          .job = run_.workload.job(request.kind),
                          .payload = run_.workload.payload(request.kind, request.sequence()),
                          .timeout_ms = timeout_ms_,
                          .priority = options_.priority};
  }
  connection.in_flight += count;
  connection.requests += count;
  if (measured) count_sent(due, count);

  sockets_.add(index, {outgoing_.data(), count}, measured, now_);
  return bytes;
}

void LoadThread::count_sent(Clock::time_point due, std::uint64_t requests) {
  result_.account.scheduled += requests;
  result_.account.sent += requests;
  part_->sent += requests;
  if (due < no_place_until_) {
    result_.held_back += requests;
  } else if (arrivals_) {
    part_->lag.record(ns(now_ - due));  // of an open loop, in which they are sent one by one
  }
  // Of an open loop, more may be due by now.
  measured_left_ -= requests;
  if (measured_left_ == 0) send_until_ = due;
}

// Sends what there is to send, and does what could not be done to connections while in use.
void LoadThread::flush() {
  bool any_lost = false;
  sockets_.flush_marked(now_, [&](std::uint32_t index) {
    const Connection& connection = connections_[index];
    if (sockets_.is_broken(index)) {
      sockets_.close(index);
      ++result_.account.connections_lost;
      any_lost = true;
    } else if (options_.reconnect_every > 0 && sockets_.is_usable(index) &&
               connection.in_flight == 0 && connection.requests >= options_.reconnect_every &&
               is_sending()) {
      reopen(index);
    }
  });
  if (any_lost) give_up_requests_of_closed();
}

// --- Receiving ---------------------------------------------------------------------------------

void LoadThread::poll(Clock::time_point until) {
  sockets_.wait(std::max(until - now_, Clock::duration::zero()));
  now_ = Clock::now();
  sockets_.receive(*this);
}

void LoadThread::after_receive(std::uint32_t index) {
  use_room(index);
  // The next connection's replies wait the shorter, and what is to be sent is still at hand.
  if (!arrivals_ && !is_udp()) sockets_.flush(index);
}

// Most of the generator's own time goes by in this loop and in send()'s, so nothing is done here
// that can be done for many replies at once. In a closed loop many have the same latency.
void LoadThread::take_replies(std::uint32_t index, Clock::time_point received,
                              std::span<const IncomingReply> replies) {
  now_ = received;
  Connection& connection = connections_[index];
  std::size_t ended = 0;
  std::uint64_t ok = 0;
  std::uint64_t same_ns = 0;  // the latency of the last `same`
  std::uint64_t same = 0;
  for (const IncomingReply& reply : replies) {
    const std::uint64_t number = number_of(connection, reply);
    Request* const request = requests_.find(number);
    if (request == nullptr || request->connection != index) {
      take_stray(number);
      continue;
    }
    if (is_measured(*request)) {
      last_reply_ = now_;
      given_up_since_reply_ = 0;
      if (reply.status != Status::ok) {
        ++result_.account.refused[static_cast<std::size_t>(reply.status)];
        ++part_->refused;
      } else if (!run_.workload.is_right(request->kind, request->sequence(), reply.payload)) {
        ++result_.account.wrong;
        ++part_->wrong;
      } else {
        ++ok;
        if (const std::uint64_t latency_ns = ns(now_ - request->due); latency_ns != same_ns) {
          part_->latency.record(same_ns, std::exchange(same, 0));
          same_ns = latency_ns;
        }
        ++same;
        if (arrivals_) result_.service.record(ns(now_ - request->sent));
      }
    }
    requests_.end(*request, Fate::answered);
    ++ended;
  }
  part_->latency.record(same_ns, same);
  part_->ok += ok;
  result_.account.ok += ok;
  result_.answered += ended;
  free_places(index, ended);
}

// The request that it answers; nobody's, when there is none that it could.
std::uint64_t LoadThread::number_of(Connection& connection, const IncomingReply& reply) {
  if (reply.id) return RequestTable::number_of(*reply.id);
  if (connection.order.empty()) return UINT64_MAX;
  const std::uint64_t number = connection.order.front();
  connection.order.pop_front();
  return number;
}

// In flight: use_room() comes next.
void LoadThread::free_places(std::uint32_t index, std::size_t places) {
  Connection& connection = connections_[index];
  connection.in_flight -= places;
  if (connection.in_flight == 0 && options_.reconnect_every > 0) sockets_.mark(index);
}

void LoadThread::take_stray(std::uint64_t number) {
  switch (requests_.fate_of(number)) {
    case Fate::answered:
      ++result_.account.duplicates;
      return;
    case Fate::lost:
      ++result_.account.late;
      return;
    case Fate::unknown:
      ++result_.account.unknown;
  }
}

void LoadThread::expire() {
  for (Request* oldest = requests_.oldest(); oldest != nullptr; oldest = requests_.oldest()) {
    if (now_ - oldest->sent < options_.timeout) return;
    if (is_measured(*oldest)) {
      ++result_.account.lost;
      ++part_->lost;
      ++given_up_since_reply_;
    }
    // A lost datagram's reply will not come; a stream's will, before those of later requests.
    const std::uint32_t index = oldest->connection;
    auto& order = connections_[index].order;
    if (is_udp() && !order.empty() && order.front() == oldest->number) order.pop_front();
    requests_.end(*oldest, Fate::lost);
    free_places(index, 1);
    use_room(index);
  }
}

}  // namespace evpool::bench
