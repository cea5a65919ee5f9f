#include "bench/load/load_thread.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "bench/load/system.h"

namespace evpool::bench {
namespace {

constexpr std::size_t kReceiveBytes = std::size_t{256} << 10U;
// What waits longer to be sent together with more is sent at once.
constexpr std::size_t kFlushBytes = std::size_t{64} << 10U;
// How long a thread listens for duplicates after the last datagram that it has waited for. Longer
// than a queue on the way holds one back, short beside any run; docs/benchmarks.md names it.
constexpr std::chrono::milliseconds kGrace{100};
// How often a thread looks up although nothing has happened.
constexpr std::chrono::milliseconds kTick{10};

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

std::uint64_t share_of_count(const LoadOptions& options, std::size_t thread) {
  if (!options.count) return UINT64_MAX;
  return *options.count / options.threads + (thread < *options.count % options.threads ? 1 : 0);
}

}  // namespace

LoadThread::LoadThread(LoadRun& run, std::size_t thread)
    : run_(run),
      options_(run.options),
      thread_(thread),
      has_ids_(run.dialect.has_ids()),
      timeout_ms_(static_cast<std::uint32_t>(options_.deadline.value_or(options_.timeout).count())),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      offload_(options_.offload),
      random_(random_for(options_.seed, thread)),
      measured_left_(share_of_count(options_, thread)) {
  if (epoll_ < 0) throw_errno("cannot create an epoll descriptor");
  if (options_.rate) arrivals_.emplace(options_, thread);
  if (is_udp()) {
    receiver_ = std::make_unique<DatagramReceiver>();
  } else {
    buffer_ = std::make_unique<char[]>(kReceiveBytes);
  }
}

LoadThread::~LoadThread() { close(epoll_); }

void LoadThread::connect() {
  if (!options_.pin.empty()) pin_to(options_.pin[thread_ % options_.pin.size()]);
  // The default, 50 us, would be added to each wait for the next request's time.
  prctl(PR_SET_TIMERSLACK, 1);
  const std::size_t count = options_.connections / options_.threads +
                            (thread_ < options_.connections % options_.threads ? 1 : 0);
  connections_.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) open(i);
}

// --- Connections -------------------------------------------------------------------------------

void LoadThread::open(std::uint32_t index) {
  Connection& connection = connections_[index];
  connection.socket = std::make_unique<ClientSocket>(options_.server, is_udp(), options_.timeout);
  const int descriptor = connection.socket->get();
  if (is_udp()) {
    offload_ = prepare_datagram_socket(descriptor, offload_);
  } else {
    connection.reader = run_.dialect.make_reader();
    connection.unsent.clear();
    connection.unsent.append(run_.dialect.greeting());
  }
  connection.wants_writable = false;
  epoll_event event = {.events = EPOLLIN, .data = {.u32 = index}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0)
    throw_errno("cannot watch a socket");
  ++usable_;
  offer(index);
}

// When it has sent as many requests as it was to, and has had all its replies.
void LoadThread::reopen(std::uint32_t index) {
  Connection& connection = connections_[index];
  connection.socket.reset();
  connection.order.clear();
  connection.requests = 0;
  --usable_;
  ++result_.account.reconnects;
  open(index);
  use_room(index);
}

void LoadThread::lose(std::uint32_t index) {
  Connection& connection = connections_[index];
  connection.socket.reset();
  connection.broken = false;
  --usable_;
  ++result_.account.connections_lost;
  requests_.visit_pending([&](Request& request) {
    if (request.connection != index) return;
    result_.account.unresolved += is_measured(request) ? 1 : 0;
    requests_.end(request, Fate::unknown);
    free_places(index, 1);
  });
}

// How many requests it can take now.
std::uint64_t LoadThread::room_of(const Connection& connection) const {
  if (connection.socket == nullptr || connection.broken) return 0;
  const std::uint64_t room = options_.in_flight - connection.in_flight;
  if (options_.reconnect_every == 0) return room;
  return std::min(room, options_.reconnect_every - connection.requests);
}

void LoadThread::use_room(std::uint32_t index) { arrivals_ ? offer(index) : fill(index); }

// Lets it take its turn among those that can take the next request of an open loop.
void LoadThread::offer(std::uint32_t index) {
  Connection& connection = connections_[index];
  if (!arrivals_ || connection.waits_in_line || room_of(connection) == 0) return;
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
  while (next_due_ <= now_ && next_due_ < send_until_) {
    if (available_.empty()) {
      no_place_ = true;
      break;
    }
    if (std::exchange(no_place_, false)) no_place_until_ = now_;
    const std::uint32_t index = available_.front();
    available_.pop_front();
    connections_[index].waits_in_line = false;
    if (room_of(connections_[index]) == 0) continue;
    send(index, next_due_, 1);
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
    const std::uint64_t room = room_of(connections_[index]);
    if (room == 0) return;
    send(index, now_, room);
  }
}

// At least one request, and at most `most`; how many, is what a batch holds.
void LoadThread::send(std::uint32_t index, Clock::time_point due, std::uint64_t most) {
  Connection& connection = connections_[index];
  const bool measured = due >= warm_until_;
  if (measured) most = std::min(most, measured_left_);
  most = std::min<std::uint64_t>(most, kBatch);
  std::size_t count = 0;
  for (std::size_t bytes = 0; count < most && bytes < kFlushBytes;) {
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

  const std::span<const OutgoingRequest> requests(outgoing_.data(), count);
  mark(index);
  if (is_udp()) {
    for (std::size_t i = 0; i < count; ++i) {
      datagram_.clear();
      run_.dialect.append_requests(requests.subspan(i, 1), datagram_);
      connection.datagrams.add(datagram_.unsent(), measured, options_.impairment, random_, now_,
                               result_.account);
    }
    return;
  }
  if (!connection.unsent.has_memory()) connection.unsent.swap(spare_);
  run_.dialect.append_requests(requests, connection.unsent);
  if (connection.unsent.size() >= kFlushBytes) flush_stream(index);
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

// Those that nothing has overtaken.
void LoadThread::release_held() {
  for (std::uint32_t index = 0; index < connections_.size(); ++index) {
    if (connections_[index].datagrams.release_held(now_)) mark(index);
  }
}

void LoadThread::mark(std::uint32_t index) {
  if (std::exchange(connections_[index].dirty, true)) return;
  dirty_.push_back(index);
}

// What connections have to send, and what could not be done while they were in use.
void LoadThread::flush_dirty() {
  if (options_.impairment.reorder > 0) release_held();
  for (std::size_t i = 0; i < dirty_.size(); ++i) {  // grows, when a reopened one is filled
    const std::uint32_t index = dirty_[i];
    Connection& connection = connections_[index];
    connection.dirty = false;
    if (connection.socket != nullptr && !connection.broken) flush(index);
    if (connection.broken) {
      lose(index);
    } else if (options_.reconnect_every > 0 && connection.socket != nullptr &&
               connection.in_flight == 0 && connection.requests >= options_.reconnect_every &&
               is_sending()) {
      reopen(index);
    }
  }
  dirty_.clear();
}

void LoadThread::flush(std::uint32_t index) {
  is_udp() ? flush_datagrams(index) : flush_stream(index);
}

void LoadThread::flush_stream(std::uint32_t index) {
  Connection& connection = connections_[index];
  SendBuffer& unsent = connection.unsent;
  while (!unsent.empty()) {
    ++result_.send_calls;
    const ssize_t sent =
        ::send(connection.socket->get(), unsent.unsent().data(), unsent.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) {
      connection.broken = true;
      mark(index);
      return;
    }
    if (sent < 0) break;
    unsent.sent(static_cast<std::size_t>(sent));
  }
  watch(index, !unsent.empty());
  if (unsent.empty() && !spare_.has_memory()) unsent.swap(spare_);
}

void LoadThread::flush_datagrams(std::uint32_t index) {
  Connection& connection = connections_[index];
  const auto flushed = connection.datagrams.queue().flush(connection.socket->get(), offload_);
  result_.send_calls += flushed.calls;
  result_.offload_used |= flushed.offloaded;
  result_.refused |= flushed.refused;
  watch(index, !connection.datagrams.queue().empty());
}

void LoadThread::watch(std::uint32_t index, bool writable) {
  Connection& connection = connections_[index];
  if (std::exchange(connection.wants_writable, writable) == writable) return;
  epoll_event event = {.events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN, .data = {.u32 = index}};
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.socket->get(), &event) != 0) {
    throw_errno("cannot watch a socket");
  }
}

// --- Receiving ---------------------------------------------------------------------------------

void LoadThread::poll(Clock::time_point until) {
  const auto wait = std::max(until - now_, Clock::duration::zero());
  const timespec timeout = {
      .tv_sec = std::chrono::duration_cast<std::chrono::seconds>(wait).count(),
      .tv_nsec = static_cast<long>(ns(wait % std::chrono::seconds(1)))};
  std::array<epoll_event, 64> events;
  const int ready = epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
  if (ready < 0 && errno != EINTR) throw_errno("cannot wait for replies");
  now_ = Clock::now();
  for (int i = 0; i < ready; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const std::uint32_t index = event.data.u32;
    if (connections_[index].socket == nullptr) continue;
    if ((event.events & EPOLLOUT) != 0) mark(index);
    if ((event.events & ~EPOLLOUT) == 0) continue;
    is_udp() ? receive_datagrams(index) : receive_stream(index);
  }
}

void LoadThread::receive_stream(std::uint32_t index) {
  Connection& connection = connections_[index];
  while (!connection.broken) {
    std::span<char> space = connection.reader->space();
    const bool direct = !space.empty();
    if (!direct) space = {buffer_.get(), kReceiveBytes};
    ++result_.receive_calls;
    const ssize_t received = recv(connection.socket->get(), space.data(), space.size(), 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (received <= 0) {
      connection.broken = true;
      mark(index);
      return;
    }
    now_ = Clock::now();
    const auto bytes = static_cast<std::size_t>(received);
    direct ? connection.reader->received(bytes) : connection.reader->push({space.data(), bytes});
    while (const std::size_t replies = connection.reader->next(incoming_)) {
      take_replies(index, {incoming_.data(), replies});
    }
    use_room(index);
    // The next connection's replies wait the shorter, and what is to be sent is still at hand.
    if (!arrivals_ && !connection.broken) flush_stream(index);
    if (bytes < space.size()) return;
  }
}

void LoadThread::receive_datagrams(std::uint32_t index) {
  Connection& connection = connections_[index];
  for (;;) {
    bool first = true;
    const auto received =
        receiver_->receive(connection.socket->get(), [&](std::string_view datagram) {
          if (std::exchange(first, false)) now_ = Clock::now();
          IncomingReply reply;
          if (run_.dialect.read_datagram(datagram, reply)) {
            take_replies(index, {&reply, 1});
          } else {
            ++result_.account.malformed;
          }
        });
    use_room(index);
    ++result_.receive_calls;
    result_.offload_used |= received.offloaded;
    result_.refused |= received.refused;
    connection.kernel_drops = std::max(connection.kernel_drops, received.drops);
    if (received.messages == 0 && !received.refused) return;
  }
}

// Most of the generator's own time goes by in this loop and in send()'s, so nothing is done here
// that can be done for many replies at once. In a closed loop many have the same latency.
void LoadThread::take_replies(std::uint32_t index, std::span<const IncomingReply> replies) {
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
  if (connection.in_flight == 0 && options_.reconnect_every > 0) mark(index);
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

// --- The run -----------------------------------------------------------------------------------

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
  if (result_.refused && result_.answered == 0) {
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
    flush_dirty();
  }
}

void LoadThread::settle() {
  requests_.visit_pending([this](const Request& request) {
    result_.account.unresolved += is_measured(request) ? 1 : 0;
  });
  for (const Connection& connection : connections_) {
    result_.account.kernel_drops += connection.kernel_drops;
  }
  part_->in_flight = requests_.pending();
  run_.collector.deliver(interval_index_++, *part_);
  result_.intervals = interval_index_;
  result_.last_reply_s = std::chrono::duration<double>(last_reply_ - warm_until_).count();
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
  // What the generator itself costs counts from the end of the warm-up on.
  std::optional<double> cpu_before_s;
  const auto begin_own_cost = [&] {
    cpu_before_s = thread_cpu_seconds();
    result_.send_calls = 0;
    result_.receive_calls = 0;
  };
  while (!run_.failed.load(std::memory_order_relaxed)) {
    obey_stop_requests();
    if (!cpu_before_s && now_ >= warm_until_) begin_own_cost();
    send_due();
    flush_dirty();
    expire();
    end_intervals();
    if (!dirty_.empty()) continue;  // expired requests have made room for others
    if (!is_sending() && requests_.pending() == 0) break;
    if (usable_ == 0 || run_.stop_requests.load(std::memory_order_relaxed) > 1) break;
    poll(next_event());
  }
  if (run_.stop_requests.load(std::memory_order_relaxed) > 0) {
    send_until_ = std::min(send_until_, now_);
  }
  if (!cpu_before_s) begin_own_cost();
  skip_the_rest();
  if (is_udp()) listen_on();
  settle();
  result_.cpu_seconds = thread_cpu_seconds() - *cpu_before_s;
  return result_;
}

}  // namespace evpool::bench
