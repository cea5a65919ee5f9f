#include "server/connection_table.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

namespace evpool {
namespace {

// This many connections over the limit are kept long enough to be told. For one more, the one that
// has said nothing for longest is closed unheard.
constexpr std::size_t kMaxOverLimit = 64;

// A search for an idle connection looks at this many, so that a flood of new ones cannot make it
// dear.
constexpr std::size_t kMaxLooks = 64;

// While draining, peers that do not close when told are waited for by this grain.
constexpr std::chrono::milliseconds kDrainSweepInterval{50};

// Stalled peers are looked for this often: often enough to be within a few percent of the timeout,
// and not more than a glance a second.
std::chrono::milliseconds sweep_interval(std::chrono::milliseconds stall_timeout) {
  return std::clamp(stall_timeout / 8, std::chrono::milliseconds(10),
                    std::chrono::milliseconds(1000));
}

}  // namespace

void ConnectionCounts::add_to(Statistics& statistics) const {
  statistics.connections_accepted += accepted.load();
  statistics.connections_refused += refused.load();
  statistics.connections_stalled += stalled.load();
  statistics.connections_evicted += evicted.load();
  statistics.connections_open += open.load() + over_limit.load();
  statistics.pings += pings.load();
}

ConnectionTable::ConnectionTable(EventLoop& loop, Intake& intake, const ServerOptions& options,
                                 const Log& log, ConnectionCounts& counts,
                                 std::function<void()> on_empty, std::function<void()> on_full)
    : loop_(loop),
      options_(options),
      log_(log),
      counts_(counts),
      on_empty_(std::move(on_empty)),
      on_full_(std::move(on_full)),
      turns_(loop),
      context_{.loop = loop,
               .intake = intake,
               .options = options,
               .codec_options = {.max_payload_bytes = options.max_payload_bytes,
                                 .default_job = options.default_job,
                                 .bodies = &intake.spare_bodies()},
               .turns = turns_,
               .receive_buffer = receive_buffer_,
               .on_used = [this](Connection& connection) { move_to_end(connection); },
               .on_closed = [this](Connection& connection) { on_closed(connection); },
               .on_admission = [this](Connection& connection) { return admit(connection); },
               .on_watch_failed = [this] { on_watch_failed(); },
               .on_ping = [this] { counts_.pings.fetch_add(1, std::memory_order_relaxed); }},
      sweep_timer_(loop.new_event<&ConnectionTable::sweep>(-1, EV_PERSIST, this)) {}

ConnectionTable::~ConnectionTable() { close_all(); }

void ConnectionTable::add(Descriptor socket, bool raw) {
  loop_.assert_in_loop_thread();
  counts_.accepted.fetch_add(1);
  try {
    take(std::move(socket), raw);
  } catch (const std::exception& error) {
    counts_.refused.fetch_add(1);
    if (error_lines_.allow()) log_(LogLevel::error, "cannot take a connection: {}", error.what());
  }
}

void ConnectionTable::take(Descriptor socket, bool raw) {
  const bool over_limit = !make_room();
  if (over_limit) on_full_();
  // A raw peer could not tell a refusal from an answer.
  if (over_limit && (raw || !make_room_over_limit())) {
    counts_.refused.fetch_add(1);
    return;
  }
  const Connection::Kind kind = over_limit ? Connection::Kind::over_limit
                                : raw      ? Connection::Kind::raw
                                           : Connection::Kind::detect;
  const auto connection = std::make_shared<Connection>(context_, std::move(socket), kind);
  if (empty()) EventLoop::arm(*sweep_timer_, sweep_interval(options_.stall_timeout));
  ConnectionList& list = list_of(*connection);
  connection->place = list.insert(list.end(), connection);
  count_of(*connection).fetch_add(1);
  connection->open();
}

ConnectionList& ConnectionTable::list_of(const Connection& connection) {
  return connection.kind() == Connection::Kind::over_limit ? over_limit_ : connections_;
}

std::atomic<std::uint64_t>& ConnectionTable::count_of(const Connection& connection) {
  return connection.kind() == Connection::Kind::over_limit ? counts_.over_limit : counts_.open;
}

bool ConnectionTable::make_room() { return has_room() || close_an_idle_one(); }

// One more over the limit takes the place of the one that has said nothing for longest.
bool ConnectionTable::make_room_over_limit() {
  if (counts_.over_limit.load() < kMaxOverLimit) return true;
  if (over_limit_.empty()) return false;
  over_limit_.front()->close();
  return true;
}

// Those found busy are used, and so go to the end: the next search does not meet them again.
bool ConnectionTable::close_an_idle_one() {
  loop_.assert_in_loop_thread();
  for (std::size_t looks = std::min(connections_.size(), kMaxLooks); looks > 0; --looks) {
    const std::shared_ptr<Connection> oldest = connections_.front();
    if (oldest->is_idle()) {
      counts_.evicted.fetch_add(1);
      oldest->close();
      return true;
    }
    move_to_end(*oldest);
  }
  return false;
}

void ConnectionTable::move_to_end(Connection& connection) {
  ConnectionList& list = list_of(connection);
  list.splice(list.end(), list, connection.place);
}

bool ConnectionTable::admit(Connection& connection) {
  if (!has_room()) return false;
  connections_.splice(connections_.end(), over_limit_, connection.place);
  counts_.over_limit.fetch_sub(1);
  counts_.open.fetch_add(1);
  return true;
}

// Calls `visit` with each connection; it may close that one. Needs no memory.
template <typename Visit>
void ConnectionTable::for_each(Visit visit) {
  loop_.assert_in_loop_thread();
  for (ConnectionList* const list : {&connections_, &over_limit_}) {
    for (auto place = list->begin(); place != list->end();) {
      const std::shared_ptr<Connection> connection = *place++;
      visit(*connection);
    }
  }
}

void ConnectionTable::drain() {
  if (!empty()) EventLoop::arm(*sweep_timer_, kDrainSweepInterval);
  for_each([](Connection& connection) { connection.drain(); });
}

void ConnectionTable::close_all() {
  for_each([](Connection& connection) { connection.close(); });
}

void ConnectionTable::sweep() {
  const Clock::time_point now = Clock::now();
  for_each([this, now](Connection& connection) {
    if (connection.close_if_stalled(now)) counts_.stalled.fetch_add(1);
  });
}

void ConnectionTable::on_closed(Connection& connection) {
  // Had there been room by its first request, it would not be over the limit any more.
  if (connection.kind() == Connection::Kind::over_limit) counts_.refused.fetch_add(1);
  count_of(connection).fetch_sub(1);
  list_of(connection).erase(connection.place);
  if (!empty()) return;
  event_del(sweep_timer_.get());
  on_empty_();
}

void ConnectionTable::on_watch_failed() {
  const int error = errno;
  if (!error_lines_.allow()) return;
  log_(LogLevel::error, "cannot wait for what a connection sends, so it is closed: {}",
       std::strerror(error));  // NOLINT(concurrency-mt-unsafe): glibc's is
}

}  // namespace evpool
