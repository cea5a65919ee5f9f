#include "server/server.h"

#include <fmt/format.h>
#include <sched.h>
#include <signal.h>

#include <ctime>
#include <stdexcept>
#include <utility>

#include "server/builtin_jobs.h"
#include "server/connection_table.h"
#include "server/dispatcher.h"
#include "server/event_loop.h"
#include "server/intake.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/udp_endpoint.h"

namespace evpool {
namespace {

// What runs when the drain has run out of time is asked to stop, and has this long to do so.
constexpr std::chrono::milliseconds kStopGrace{1000};

std::size_t usable_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return 1;
  return static_cast<std::size_t>(CPU_COUNT(&cpus));
}

ServerOptions checked(ServerOptions options, const Handlers& handlers) {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(fmt::format("cannot create a server: {}", what));
  };
  if (options.workers == 0) options.workers = usable_cpus();
  require(!options.tcp.empty() || !options.tcp_raw.empty() || !options.udp.empty(),
          "it needs an address to listen on");
  require(options.max_payload_bytes > 0, "max_payload_bytes must be at least 1");
  require(options.max_connections > 0, "max_connections must be at least 1");
  require(options.max_in_flight_per_connection > 0,
          "max_in_flight_per_connection must be at least 1");
  require(options.default_timeout.count() > 0, "default_timeout must be longer than 0");
  require(options.stall_timeout.count() > 0, "stall_timeout must be longer than 0");
  require(options.drain_timeout.count() >= 0, "drain_timeout must not be negative");
  if (handlers.find(options.default_job) == nullptr) {
    throw std::invalid_argument(fmt::format("cannot create a server: the default job: {}",
                                            handlers.explain_missing(options.default_job)));
  }
  return options;
}

// Writing to a connection that the peer has closed must be an error of that write and not the end
// of the process. Blocks SIGPIPE in this thread while it lives, and takes with it those that came.
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before);
    was_blocked_ = sigismember(&before, SIGPIPE) == 1;
  }
  ~SigpipeBlocked() {
    if (was_blocked_) return;
    const timespec now{};
    while (sigtimedwait(&sigpipe_, nullptr, &now) > 0) {
    }
    pthread_sigmask(SIG_UNBLOCK, &sigpipe_, nullptr);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  sigset_t sigpipe_{};
  bool was_blocked_ = false;
};

}  // namespace

class Server::Implementation {
 public:
  Implementation(ServerOptions options, Handlers handlers)
      : options_(checked(std::move(options), handlers)),
        log_(options_.log),
        tcp_(bind_all("tcp", options_.tcp, Transport::tcp)),
        tcp_raw_(bind_all("tcp-raw", options_.tcp_raw, Transport::tcp)),
        udp_(bind_all("udp", options_.udp, Transport::udp)),
        dispatcher_(std::move(handlers),
                    {.workers = options_.workers,
                     .capacity_tasks = options_.queue_tasks,
                     .thread_name = "evpool-worker",
                     .on_exception = {}},
                    options_.default_timeout, [this] { post_exit_when_drained(); }),
        intake_(loop_, dispatcher_),
        connections_(loop_, intake_, options_, [this] { exit_when_drained(); }),
        drain_timer_(loop_.new_event(
            -1, 0,
            [](int, short, void* self) { static_cast<Implementation*>(self)->on_drain_timeout(); },
            this)),
        grace_timer_(loop_.new_event(
            -1, 0, [](int, short, void* self) { static_cast<Implementation*>(self)->loop_.exit(); },
            this)) {
    for (Descriptor& socket : tcp_) add_listener(std::move(socket), false);
    for (Descriptor& socket : tcp_raw_) add_listener(std::move(socket), true);
    for (Descriptor& socket : udp_) add_endpoint(std::move(socket));
  }

  ~Implementation() {
    const SigpipeBlocked sigpipe_blocked;
    loop_.adopt();
    intake_.submit();
    // First, so that no worker answers on a connection whose table is gone.
    dispatcher_.stop();
    connections_.close_all();
  }
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  [[nodiscard]] const std::vector<Listening>& listening() const { return listening_; }

  DrainReport run() {
    const SigpipeBlocked sigpipe_blocked;
    loop_.run();
    intake_.submit();
    connections_.close_all();
    return {.still_running = dispatcher_.in_flight(), .statistics = statistics()};
  }

  void drain() {
    loop_.post([this] { begin_drain(); });
  }

  [[nodiscard]] Statistics statistics() const {
    Statistics statistics;
    dispatcher_.count_into(statistics);
    connections_.count_into(statistics);
    for (const auto& endpoint : endpoints_) endpoint->count_into(statistics);
    return statistics;
  }

 private:
  std::vector<Descriptor> bind_all(const char* name, const std::vector<Address>& addresses,
                                   Transport transport) {
    std::vector<Descriptor> sockets;
    for (const Address& address : addresses) {
      sockets.push_back(bind_socket(name, address, transport));
      listening_.push_back({.transport = name, .address = local_address(sockets.back())});
    }
    return sockets;
  }

  void add_listener(Descriptor socket, bool raw) {
    listeners_.push_back(
        std::make_unique<Listener>(loop_, connections_, log_, std::move(socket), raw));
  }

  void add_endpoint(Descriptor socket) {
    const int granted_bytes = set_receive_buffer(socket, options_.receive_buffer_bytes);
    log_(LogLevel::info, "udp {}: receive buffer {} bytes granted, {} asked for",
         to_string(local_address(socket)), granted_bytes, options_.receive_buffer_bytes);
    endpoints_.push_back(
        std::make_shared<UdpEndpoint>(loop_, intake_, options_, std::move(socket)));
    endpoints_.back()->open();
  }

  void begin_drain() {
    if (std::exchange(draining_, true)) return;
    log_(LogLevel::info, "draining: {} requests in flight", dispatcher_.in_flight());
    dispatcher_.begin_drain();
    // Who is in the backlog has been let in by the kernel, and is answered rather than reset.
    for (const auto& listener : listeners_) listener->accept_some();
    listeners_.clear();
    for (const auto& endpoint : endpoints_) endpoint->drain();
    connections_.drain();
    intake_.submit();
    EventLoop::arm(*drain_timer_, options_.drain_timeout);
    exit_when_drained();
  }

  void on_drain_timeout() {
    log_(LogLevel::warning, "the drain timed out: {} requests in flight; stopping them",
         dispatcher_.in_flight());
    dispatcher_.abandon();
    EventLoop::arm(*grace_timer_, kStopGrace);
    exit_when_drained();
  }

  // Any thread.
  void post_exit_when_drained() {
    loop_.post([this] { exit_when_drained(); });
  }

  void exit_when_drained() {
    if (draining_ && dispatcher_.in_flight() == 0 && connections_.empty()) loop_.exit();
  }

  // Each uses those above it, and is destroyed before them.
  const ServerOptions options_;
  const Log log_;
  std::vector<Listening> listening_;
  std::vector<Descriptor> tcp_;
  std::vector<Descriptor> tcp_raw_;
  std::vector<Descriptor> udp_;
  EventLoop loop_;
  Dispatcher dispatcher_;
  Intake intake_;
  ConnectionTable connections_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::shared_ptr<UdpEndpoint>> endpoints_;

  // The loop's thread only.
  bool draining_ = false;
  UniqueEvent drain_timer_;
  UniqueEvent grace_timer_;
};

Server::Server(ServerOptions options, Handlers handlers)
    : implementation_(std::make_unique<Implementation>(std::move(options), std::move(handlers))) {}

Server::~Server() = default;

const std::vector<Listening>& Server::listening() const { return implementation_->listening(); }

DrainReport Server::run() { return implementation_->run(); }

void Server::drain() { implementation_->drain(); }

Statistics Server::statistics() const { return implementation_->statistics(); }

}  // namespace evpool
