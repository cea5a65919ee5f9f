#include "server/connection_table.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

namespace evpool {
namespace {

// So many connections over the limit are kept long enough to be told; more are closed unheard.
constexpr std::size_t kMaxOverLimit = 64;

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
  statistics.connections_open += open.load();
  statistics.pings += pings.load();
}

ConnectionTable::ConnectionTable(EventLoop& loop, Intake& intake, const ServerOptions& options,
                                 const Log& log, ConnectionCounts& counts,
                                 std::function<void()> on_empty)
    : loop_(loop),
      options_(options),
      log_(log),
      counts_(counts),
      on_empty_(std::move(on_empty)),
      context_{.loop = loop,
               .intake = intake,
               .options = options,
               .codec_options = {.max_payload_bytes = options.max_payload_bytes,
                                 .default_job = options.default_job,
                                 .bodies = &intake.spare_bodies()},
               .receive_buffer = receive_buffer_,
               .on_closed = [this](Connection& connection) { on_closed(connection); },
               .on_ping = [this] { counts_.pings.fetch_add(1, std::memory_order_relaxed); }},
      sweep_timer_(loop.new_event(
          -1, EV_PERSIST,
          [](int, short, void* self) { static_cast<ConnectionTable*>(self)->sweep(); }, this)) {}

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
  // Those of all tables.
  const std::uint64_t open = counts_.open.load() + 1;
  const bool over_limit = open > options_.max_connections;
  if (over_limit) counts_.refused.fetch_add(1);
  // A raw peer could not tell a refusal from an answer.
  if (over_limit && (raw || open > options_.max_connections + kMaxOverLimit)) return;
  const Connection::Kind kind = over_limit ? Connection::Kind::over_limit
                                : raw      ? Connection::Kind::raw
                                           : Connection::Kind::detect;
  const auto connection = std::make_shared<Connection>(context_, std::move(socket), kind);
  connections_.emplace(connection.get(), connection);
  counts_.open.fetch_add(1);
  if (connections_.size() == 1) {
    EventLoop::arm(*sweep_timer_, sweep_interval(options_.stall_timeout));
  }
  connection->open();
}

void ConnectionTable::drain() {
  if (!empty()) EventLoop::arm(*sweep_timer_, kDrainSweepInterval);
  for (const auto& connection : snapshot()) connection->drain();
}

void ConnectionTable::close_all() {
  for (const auto& connection : snapshot()) connection->close();
}

void ConnectionTable::sweep() {
  const Clock::time_point now = Clock::now();
  for (const auto& connection : snapshot()) {
    if (connection->close_if_stalled(now)) counts_.stalled.fetch_add(1);
  }
}

void ConnectionTable::on_closed(Connection& connection) {
  connections_.erase(&connection);
  counts_.open.fetch_sub(1);
  if (!connections_.empty()) return;
  event_del(sweep_timer_.get());
  on_empty_();
}

// Closing one changes the table, so whoever may close goes over a copy.
std::vector<std::shared_ptr<Connection>> ConnectionTable::snapshot() const {
  loop_.assert_in_loop_thread();
  std::vector<std::shared_ptr<Connection>> connections;
  connections.reserve(connections_.size());
  for (const auto& [key, connection] : connections_) connections.push_back(connection);
  return connections;
}

}  // namespace evpool
