#include "bench/load/load_thread.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "bench/load/generator.h"

namespace evpool::bench {
namespace {

constexpr std::size_t kReceiveBytes = std::size_t{256} << 10U;
// What waits longer to be sent together with more is sent at once.
constexpr std::size_t kFlushBytes = std::size_t{64} << 10U;
// How often a thread looks up although nothing has happened.
constexpr std::chrono::milliseconds kTick{10};
constexpr std::chrono::milliseconds kLongestHold{10};

// A request's number on the wire: multiplied by an odd constant, which can be undone, so that a
// damaged id is nobody's and not another request's.
constexpr std::uint64_t kScramble = 0x9E3779B97F4A7C15;
constexpr std::uint64_t inverse_of(std::uint64_t odd) {
  std::uint64_t inverse = odd;  // right in the lowest 3 bits; each of Newton's steps doubles them
  for (int step = 0; step < 5; ++step) inverse *= 2 - odd * inverse;
  return inverse;
}
static_assert(kScramble * inverse_of(kScramble) == 1);
std::uint64_t id_of(std::uint64_t number) { return number * kScramble; }
std::uint64_t number_of(std::uint64_t id) { return id * inverse_of(kScramble); }

std::uint64_t sequence_of(std::uint64_t number) { return number >> kSlotBits; }
std::size_t slot_of(std::uint64_t number) { return number & ((1U << kSlotBits) - 1); }

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(
      fmt::format("{}: {}", what, std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
}

std::uint64_t ns(std::chrono::steady_clock::duration duration) {
  const auto count = std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
  return count > 0 ? static_cast<std::uint64_t>(count) : 0;
}

double thread_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
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
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      offload_(options_.offload),
      random_(random_for(options_.seed, thread)),
      measured_left_(share_of_count(options_, thread)) {
  if (epoll_ < 0) fail("cannot create an epoll descriptor");
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
    connection.unsent = run_.dialect.greeting();
    connection.sent_bytes = 0;
  }
  connection.wants_writable = false;
  epoll_event event = {.events = EPOLLIN, .data = {.u32 = index}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) fail("cannot watch a socket");
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
  if (!arrivals_) fill(index);
}

void LoadThread::lose(std::uint32_t index) {
  Connection& connection = connections_[index];
  connection.socket.reset();
  connection.broken = false;
  --usable_;
  ++result_.account.connections_lost;
  for (Slot& slot : slots_) {
    if (!slot.busy || slot.connection != index) continue;
    result_.account.unresolved += is_measured(slot) ? 1 : 0;
    release(slot);
  }
}

bool LoadThread::is_usable(const Connection& connection) const {
  return connection.socket != nullptr && !connection.broken &&
         connection.in_flight < options_.in_flight &&
         (options_.reconnect_every == 0 || connection.requests < options_.reconnect_every);
}

// Lets it take its turn among those that can take the next request of an open loop.
void LoadThread::offer(std::uint32_t index) {
  Connection& connection = connections_[index];
  if (!arrivals_ || connection.waits_in_line || !is_usable(connection)) return;
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
    if (!is_usable(connections_[index])) continue;
    send(index, next_due_);
    offer(index);
    next_due_ = run_.begin + arrivals_->next();
  }
  if (now_ < send_until_) return;
  // The time is over: what has found no place will not be sent.
  for (; next_due_ < send_until_ && measured_left_ > 0;
       next_due_ = run_.begin + arrivals_->next()) {
    if (next_due_ < warm_until_) continue;
    --measured_left_;
    ++result_.account.scheduled;
    ++result_.account.skipped;
  }
}

// Closed loop: as many requests as are to be in flight.
void LoadThread::fill(std::uint32_t index) {
  while (is_sending() && is_usable(connections_[index])) send(index, now_);
}

void LoadThread::send(std::uint32_t index, Clock::time_point due) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t place = free_slots_.back();
  free_slots_.pop_back();
  const std::uint64_t sequence = next_sequence_++;
  const std::uint64_t number = sequence << kSlotBits | place;
  Slot& slot = slots_[place];
  slot = {.number = number,
          .due = due,
          .sent = now_,
          .connection = index,
          .kind = run_.workload.pick(random_),
          .busy = true};
  const bool measured = is_measured(slot);
  if (measured) {
    ++result_.account.scheduled;
    ++result_.account.sent;
    ++part_->sent;
    if (due < no_place_until_) {
      ++result_.held_back;
    } else if (arrivals_) {
      part_->lag.record(ns(now_ - due));
    }
    // Of an open loop, more may be due by now.
    if (--measured_left_ == 0) send_until_ = due;
  }
  by_age_.push_back(number);
  ++in_flight_;

  Connection& connection = connections_[index];
  ++connection.in_flight;
  ++connection.requests;
  if (!run_.dialect.has_ids()) connection.order.push_back(number);
  const OutgoingRequest request = {.id = id_of(number),
                                   .job = run_.workload.job(slot.kind),
                                   .payload = run_.workload.payload(slot.kind, sequence),
                                   .timeout_ms = static_cast<std::uint32_t>(
                                       options_.deadline.value_or(options_.timeout).count()),
                                   .priority = options_.priority};
  if (is_udp()) {
    request_.clear();
    run_.dialect.append_request(request, request_);
    add_datagram(connection, request_, measured);
  } else {
    run_.dialect.append_request(request, connection.unsent);
  }
  mark(index);
  if (connection.unsent.size() - connection.sent_bytes >= kFlushBytes) flush_stream(index);
}

void LoadThread::add_datagram(Connection& connection, std::string_view datagram, bool measured) {
  const Impairment& impairment = options_.impairment;
  if (!impairment.any()) {
    connection.datagrams.add(datagram);
    return;
  }
  std::uniform_real_distribution<double> chance(0, 1);
  Account& account = result_.account;
  if (chance(random_) < impairment.drop) {
    account.impaired_drops += measured ? 1 : 0;
    return;
  }
  const bool twice = chance(random_) < impairment.duplicate;
  account.impaired_duplicates += twice ? 1 : 0;
  if (!twice && connection.held.empty() && chance(random_) < impairment.reorder) {
    connection.held = datagram;
    connection.held_since = now_;
    return;
  }
  connection.datagrams.add(datagram);
  if (twice) connection.datagrams.add(datagram);
  if (connection.held.empty()) return;
  connection.datagrams.add(connection.held);
  connection.held.clear();
  ++account.impaired_reorders;
}

// Those that nothing has overtaken.
void LoadThread::release_held() {
  for (std::uint32_t index = 0; index < connections_.size(); ++index) {
    Connection& connection = connections_[index];
    if (connection.held.empty() || now_ - connection.held_since < kLongestHold) continue;
    connection.datagrams.add(connection.held);
    connection.held.clear();
    mark(index);
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
  while (connection.sent_bytes < connection.unsent.size()) {
    ++result_.send_calls;
    const ssize_t sent = ::send(connection.socket->get(), &connection.unsent[connection.sent_bytes],
                                connection.unsent.size() - connection.sent_bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) {
      connection.broken = true;
      mark(index);
      return;
    }
    if (sent < 0) break;
    connection.sent_bytes += static_cast<std::size_t>(sent);
  }
  watch(index, connection.sent_bytes < connection.unsent.size());
  // What has been sent is given up once it is the larger part, so that each byte moves once.
  if (connection.sent_bytes * 2 >= connection.unsent.size()) {
    connection.unsent.erase(0, std::exchange(connection.sent_bytes, 0));
  }
}

void LoadThread::flush_datagrams(std::uint32_t index) {
  Connection& connection = connections_[index];
  const auto flushed = connection.datagrams.flush(connection.socket->get(), offload_);
  result_.send_calls += flushed.calls;
  result_.offload_used |= flushed.offloaded;
  result_.refused |= flushed.refused;
  watch(index, !connection.datagrams.empty());
}

void LoadThread::watch(std::uint32_t index, bool writable) {
  Connection& connection = connections_[index];
  if (std::exchange(connection.wants_writable, writable) == writable) return;
  epoll_event event = {.events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN, .data = {.u32 = index}};
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.socket->get(), &event) != 0) {
    fail("cannot watch a socket");
  }
}

// --- Receiving ---------------------------------------------------------------------------------

void LoadThread::poll() {
  const auto wait = std::max(next_event() - now_, Clock::duration::zero());
  const timespec timeout = {
      .tv_sec = std::chrono::duration_cast<std::chrono::seconds>(wait).count(),
      .tv_nsec = static_cast<long>(ns(wait % std::chrono::seconds(1)))};
  std::array<epoll_event, 64> events;
  const int ready = epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
  if (ready < 0 && errno != EINTR) fail("cannot wait for replies");
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
  IncomingReply reply;
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
    while (connection.reader->next(reply)) take_reply(index, reply);
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
            take_reply(index, reply);
          } else {
            ++result_.account.malformed;
          }
        });
    ++result_.receive_calls;
    result_.offload_used |= received.offloaded;
    result_.refused |= received.refused;
    connection.kernel_drops = std::max(connection.kernel_drops, received.drops);
    if (received.messages == 0 && !received.refused) return;
  }
}

void LoadThread::take_reply(std::uint32_t index, const IncomingReply& reply) {
  Connection& connection = connections_[index];
  std::uint64_t number = UINT64_MAX;
  if (reply.id) {
    number = number_of(*reply.id);
  } else if (!connection.order.empty()) {
    number = connection.order.front();
    connection.order.pop_front();
  }
  const std::size_t place = slot_of(number);
  if (place >= slots_.size() || !slots_[place].busy || slots_[place].number != number ||
      slots_[place].connection != index) {
    take_stray(number);
    return;
  }
  Slot& slot = slots_[place];
  ++result_.answered;
  fates_.set(sequence_of(number), FateTable::Fate::answered);
  if (is_measured(slot)) count(slot, reply);
  release(slot);
}

void LoadThread::take_stray(std::uint64_t number) {
  const std::uint64_t sequence = sequence_of(number);
  const auto fate = sequence < next_sequence_ ? fates_.get(sequence) : FateTable::Fate::in_flight;
  switch (fate) {
    case FateTable::Fate::answered:
      ++result_.account.duplicates;
      return;
    case FateTable::Fate::lost:
      ++result_.account.late;
      return;
    case FateTable::Fate::in_flight:
      ++result_.account.unknown;
  }
}

void LoadThread::count(const Slot& slot, const IncomingReply& reply) {
  result_.last_reply_s = std::chrono::duration<double>(now_ - warm_until_).count();
  if (reply.status != Status::ok) {
    ++result_.account.refused[static_cast<std::size_t>(reply.status)];
    ++part_->refused;
  } else if (!run_.workload.is_right(slot.kind, sequence_of(slot.number), reply.payload)) {
    ++result_.account.wrong;
    ++part_->wrong;
  } else {
    ++result_.account.ok;
    ++part_->ok;
    part_->latency.record(ns(now_ - slot.due));
    if (arrivals_) result_.service.record(ns(now_ - slot.sent));
  }
}

// The request has ended; its place in flight is free.
void LoadThread::release(Slot& slot) {
  const std::uint32_t index = slot.connection;
  slot.busy = false;
  free_slots_.push_back(static_cast<std::uint32_t>(slot_of(slot.number)));
  --in_flight_;
  Connection& connection = connections_[index];
  if (--connection.in_flight == 0 && options_.reconnect_every > 0) mark(index);
  arrivals_ ? offer(index) : fill(index);
}

void LoadThread::expire() {
  while (!by_age_.empty()) {
    const std::uint64_t number = by_age_.front();
    Slot& slot = slots_[slot_of(number)];
    if (slot.busy && slot.number == number) {
      if (now_ - slot.sent < options_.timeout) return;
      fates_.set(sequence_of(number), FateTable::Fate::lost);
      if (is_measured(slot)) {
        ++result_.account.lost;
        ++part_->lost;
      }
      // A lost datagram's reply will not come; a stream's will, before those of later requests.
      auto& order = connections_[slot.connection].order;
      if (is_udp() && !order.empty() && order.front() == number) order.pop_front();
      by_age_.pop_front();
      release(slot);
    } else {
      by_age_.pop_front();
    }
  }
}

// --- The run -----------------------------------------------------------------------------------

void LoadThread::end_intervals() {
  while (now_ >= interval_until_) {
    part_->in_flight = in_flight_;
    run_.collector.deliver(interval_index_++, *part_);
    *part_ = {};
    interval_until_ += options_.interval;
  }
}

LoadThread::Clock::time_point LoadThread::next_event() const {
  auto next = std::min(now_ + kTick, interval_until_);
  // Without a place in flight, too: that it was missing then must be seen, or it would count as
  // lag.
  if (arrivals_ && next_due_ < send_until_ && !no_place_) next = std::min(next, next_due_);
  if (is_sending()) next = std::min(next, send_until_);
  if (!by_age_.empty()) {
    next = std::min(next, slots_[slot_of(by_age_.front())].sent + options_.timeout);
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

void LoadThread::settle() {
  for (const Slot& slot : slots_) {
    result_.account.unresolved += slot.busy && is_measured(slot) ? 1 : 0;
  }
  for (const Connection& connection : connections_) {
    result_.account.kernel_drops += connection.kernel_drops;
  }
  part_->in_flight = in_flight_;
  run_.collector.deliver(interval_index_++, *part_);
  result_.intervals = interval_index_;
}

ThreadResult LoadThread::work() {
  const double cpu_before = thread_cpu_seconds();
  ramp_until_ = run_.begin + options_.ramp;
  warm_until_ = ramp_until_ + options_.warm_up;
  send_until_ = warm_until_ + options_.duration;
  interval_until_ = warm_until_ + options_.interval;
  no_place_until_ = run_.begin;
  now_ = Clock::now();
  if (arrivals_) next_due_ = run_.begin + arrivals_->next();
  if (measured_left_ == 0) send_until_ = warm_until_;
  while (!run_.failed.load(std::memory_order_relaxed)) {
    obey_stop_requests();
    send_due();
    flush_dirty();
    expire();
    end_intervals();
    if (!dirty_.empty()) continue;  // expired requests have made room for others
    if (!is_sending() && in_flight_ == 0) break;
    if (usable_ == 0 || run_.stop_requests.load(std::memory_order_relaxed) > 1) break;
    poll();
  }
  settle();
  result_.cpu_seconds = thread_cpu_seconds() - cpu_before;
  return result_;
}

}  // namespace evpool::bench
