#include "server/server.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <new>
#include <stdexcept>
#include <utility>

#include "server/builtin_jobs.h"
#include "server/dispatcher.h"
#include "server/io_thread.h"
#include "server/libevent_log.h"
#include "server/listener.h"
#include "server/log.h"

namespace evpool {
namespace {

// What runs when the drain has run out of time is asked to stop, and has this long to do so.
constexpr std::chrono::milliseconds kStopGrace{1000};

// Quotas of connections accepted from each listener when a drain begins: the largest backlog that
// Linux grants by default, and no more, as peers may go on connecting.
constexpr int kDrainAccepts = SOMAXCONN / Listener::kAcceptQuota;

// More than any machine's network needs; a larger number is a mistake.
constexpr std::size_t kMaxIoThreads = 64;

ServerOptions checked(ServerOptions options, const Handlers& handlers) {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(fmt::format("cannot create a server: {}", what));
  };
  require(!options.tcp.empty() || !options.tcp_raw.empty() || !options.udp.empty(),
          "it needs an address to listen on");
  require(options.io_threads >= 1 && options.io_threads <= kMaxIoThreads,
          "io_threads must be 1 to 64");
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

// A handler may start programs, which inherit the mask, so workers block nothing. But
// ThreadSanitizer holds a signal back on a thread that sleeps in a system call it does not know, as
// an idle worker does; there the signals must go to other threads.
#ifdef __SANITIZE_THREAD__
constexpr bool kBlockSignals = true;
#else
constexpr bool kBlockSignals = false;
#endif

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
        udp_ports_(ports_of(udp_)),
        dispatcher_(
            std::move(handlers),
            {.workers = options_.workers,
             .capacity_tasks = options_.queue_tasks,
             .thread_name = "evpool-worker",
             // What is left of a long batch is given back to wait behind all others.
             .own_tasks_first = false,
             .block_signals = kBlockSignals,
             .on_worker_start = [this](std::size_t) { use_libevent_log_until_thread_ends(log_); },
             .on_exception = {}},
            options_.default_timeout, [this] { look_if_drained(); }) {
    const LibeventLogScope libevent_log(log_);
    for (std::size_t i = 0; i < options_.io_threads; ++i) {
      io_threads_.push_back(std::make_unique<IoThread>(
          dispatcher_, options_, log_, counts_, [this] { look_if_drained(); },
          [this] { io_threads_.front()->exit(); }, [this, i] { make_room_beside(i); }));
    }
    for (Descriptor& socket : tcp_) add_listener(std::move(socket), false);
    for (Descriptor& socket : tcp_raw_) add_listener(std::move(socket), true);
    for (Descriptor& socket : udp_) add_endpoints(std::move(socket));
    drain_ = first_loop().new_event<&Implementation::begin_drain>(-1, EV_PERSIST, this);
    look_if_drained_ =
        first_loop().new_event<&Implementation::exit_when_drained>(-1, EV_PERSIST, this);
    memory_is_worth_a_look_ =
        first_loop().new_event<&Implementation::look_later>(-1, EV_PERSIST, this);
    memory_timer_ = first_loop().new_event<&Implementation::look_at_memory>(-1, 0, this);
    dispatcher_.spare_bodies().memory().set_owner(
        [this] { EventLoop::call(*memory_is_worth_a_look_); });
    drain_timer_ = first_loop().new_event<&Implementation::on_drain_timeout>(-1, 0, this);
    grace_timer_ = first_loop().new_event<&EventLoop::exit>(-1, 0, &first_loop());
    for (std::size_t i = 1; i < io_threads_.size(); ++i) {
      io_threads_[i]->start(fmt::format("evpool-io-{}", i + 1));
    }
  }

  ~Implementation() {
    const SigpipeBlocked sigpipe_blocked;
    const LibeventLogScope libevent_log(log_);
    for (const auto& io_thread : io_threads_) io_thread->finish();
    // While connections are open, so that what is answered now can be sent.
    dispatcher_.stop();
    for (const auto& io_thread : io_threads_) io_thread->close_connections();
  }
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  [[nodiscard]] const std::vector<Listening>& listening() const { return listening_; }

  DrainReport run() {
    const SigpipeBlocked sigpipe_blocked;
    const LibeventLogScope libevent_log(log_);
    for (const auto& io_thread : io_threads_) {
      io_thread->loop().post([&io_thread] { io_thread->open(); });
    }
    std::exception_ptr failure;
    try {
      io_threads_.front()->run();
    } catch (const std::exception&) {
      failure = std::current_exception();
    }
    for (const auto& io_thread : io_threads_) {
      io_thread->finish();
      if (!failure) failure = io_thread->failure();
    }
    if (failure) std::rethrow_exception(failure);
    for (const auto& io_thread : io_threads_) io_thread->close_connections();
    return {.still_running = dispatcher_.in_flight(), .statistics = statistics()};
  }

  void drain() { EventLoop::call(*drain_); }

  [[nodiscard]] Statistics statistics() const {
    Statistics statistics;
    dispatcher_.count_into(statistics);
    counts_.add_to(statistics);
    for (const auto& io_thread : io_threads_) io_thread->count_into(statistics);
    return statistics;
  }

 private:
  // What no other I/O thread than the first does: accepting, and ending.
  EventLoop& first_loop() { return io_threads_.front()->loop(); }

  std::vector<Descriptor> bind_all(const char* name, const std::vector<Address>& addresses,
                                   Transport transport) {
    std::vector<Descriptor> sockets;
    for (const Address& address : addresses) {
      for (Descriptor& socket : bind_sockets(name, address, transport)) {
        listening_.push_back({.transport = name, .address = local_address(socket)});
        sockets.push_back(std::move(socket));
      }
    }
    return sockets;
  }

  static std::vector<std::uint16_t> ports_of(const std::vector<Descriptor>& sockets) {
    std::vector<std::uint16_t> ports;
    ports.reserve(sockets.size());
    for (const Descriptor& socket : sockets) ports.push_back(local_address(socket).port);
    return ports;
  }

  void add_listener(Descriptor socket, bool raw) {
    listeners_.push_back(std::make_unique<Listener>(
        first_loop(),
        [this](Descriptor accepted, bool is_raw) { spread(std::move(accepted), is_raw); },
        [this] { return io_threads_.front()->close_an_idle_connection(); }, counts_, log_,
        std::move(socket), raw));
  }

  void add_endpoints(Descriptor socket) {
    std::vector<Descriptor> sockets;
    sockets.push_back(std::move(socket));
    while (sockets.size() < io_threads_.size()) sockets.push_back(bind_beside(sockets.front()));
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      const int granted_bytes = set_receive_buffer(sockets[i], options_.receive_buffer_bytes);
      log_(LogLevel::info, "udp {}: receive buffer {} bytes granted, {} asked for",
           to_string(local_address(sockets[i])), granted_bytes, options_.receive_buffer_bytes);
      io_threads_[i]->add_endpoint(std::move(sockets[i]), udp_ports_);
    }
  }

  // Gives a connection to the I/O threads in turn.
  void spread(Descriptor socket, bool raw) {
    IoThread& io_thread = *io_threads_[next_io_thread_];
    next_io_thread_ = (next_io_thread_ + 1) % io_threads_.size();
    if (&io_thread == io_threads_.front().get()) {
      io_thread.add_connection(std::move(socket), raw);
      return;
    }
    try {
      // A std::function must be copyable, and a descriptor is not.
      auto held = std::make_shared<Descriptor>(std::move(socket));
      io_thread.loop().post(
          [&io_thread, held, raw] { io_thread.add_connection(std::move(*held), raw); });
    } catch (const std::bad_alloc&) {
      counts_.accepted.fetch_add(1);
      counts_.refused.fetch_add(1);
    }
  }

  // Has the other I/O threads close an idle connection each, if there is no room by then.
  void make_room_beside(std::size_t full) {
    for (std::size_t i = 0; i < io_threads_.size(); ++i) {
      if (i != full) io_threads_[i]->make_room();
    }
  }

  void begin_drain() {
    if (std::exchange(draining_, true)) return;
    log_(LogLevel::info, "draining: {} requests in flight", dispatcher_.in_flight());
    dispatcher_.begin_drain();
    // Who is in the backlog has been let in by the kernel, and is answered rather than reset.
    for (const auto& listener : listeners_) {
      for (int i = 0; i < kDrainAccepts && listener->accept_some(); ++i) {
      }
    }
    listeners_.clear();
    // After the connections just given to them, as events come in their order.
    for (const auto& io_thread : io_threads_) {
      io_thread->drain();
    }
    EventLoop::arm(*drain_timer_, options_.drain_timeout);
  }

  void on_drain_timeout() {
    const std::size_t in_flight = dispatcher_.in_flight();
    if (in_flight == 0) {
      log_(LogLevel::warning, "the drain timed out: {} connections have not read their replies",
           counts_.open.load());
      first_loop().exit();
      return;
    }
    log_(LogLevel::warning, "the drain timed out: {} requests in flight; stopping them", in_flight);
    dispatcher_.abandon();
    EventLoop::arm(*grace_timer_, kStopGrace);
  }

  // Any thread; without memory, which a worker that answers the last request may not have.
  void look_if_drained() { EventLoop::call(*look_if_drained_); }

  void look_later() { EventLoop::arm(*memory_timer_, MemoryReturn::kLookInterval); }

  void look_at_memory() {
    if (!dispatcher_.spare_bodies().memory().look() || !dispatcher_.give_back_memory())
      look_later();
  }

  // Called whenever one of these may have become true.
  void exit_when_drained() {
    const auto drained = [](const auto& io_thread) { return io_thread->drained(); };
    if (std::all_of(io_threads_.begin(), io_threads_.end(), drained) &&
        dispatcher_.in_flight() == 0) {
      first_loop().exit();
    }
  }

  // Each uses those above it, and is destroyed before them.
  const ServerOptions options_;
  const Log log_;
  std::vector<Listening> listening_;
  std::vector<Descriptor> tcp_;
  std::vector<Descriptor> tcp_raw_;
  std::vector<Descriptor> udp_;
  const std::vector<std::uint16_t> udp_ports_;
  ConnectionCounts counts_;
  Dispatcher dispatcher_;
  std::vector<std::unique_ptr<IoThread>> io_threads_;

  // The first I/O thread's only.
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::size_t next_io_thread_ = 0;
  bool draining_ = false;
  UniqueEvent drain_;
  UniqueEvent look_if_drained_;
  UniqueEvent memory_is_worth_a_look_;
  UniqueEvent memory_timer_;
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
