#include "server/io_thread.h"

#include <system_error>
#include <utility>

#include "server/libevent_log.h"
#include "threadpool/thread_attributes.h"

namespace evpool {

IoThread::IoThread(Dispatcher& dispatcher, const ServerOptions& options, const Log& log,
                   ConnectionCounts& counts, std::function<void()> on_drained,
                   std::function<void()> on_failed, std::function<void()> on_full)
    : options_(options),
      log_(log),
      on_drained_(std::move(on_drained)),
      on_failed_(std::move(on_failed)),
      intake_(loop_, dispatcher),
      connections_(
          loop_, intake_, options, log, counts, [this] { on_no_connection(); }, std::move(on_full)),
      make_room_(loop_.new_event<&ConnectionTable::make_room>(-1, EV_PERSIST, &connections_)),
      drain_(loop_.new_event<&IoThread::begin_drain>(-1, EV_PERSIST, this)),
      exit_(loop_.new_event<&EventLoop::exit>(-1, EV_PERSIST, &loop_)) {}

IoThread::~IoThread() {
  finish();
  close_connections();
}

void IoThread::add_endpoint(Descriptor socket, std::span<const std::uint16_t> own_ports) {
  endpoints_.push_back(
      std::make_shared<UdpEndpoint>(loop_, intake_, options_, own_ports, std::move(socket)));
}

void IoThread::start(const std::string& name) {
  const AllSignalsBlocked inherited_by_the_thread;
  const auto run_it = [](void* argument) -> void* {
    auto& self = *static_cast<IoThread*>(argument);
    try {
      self.run();
    } catch (const std::exception&) {
      self.failure_ = std::current_exception();
      self.on_failed_();
    }
    return nullptr;
  };
  const int error = pthread_create(&thread_, nullptr, run_it, this);
  if (error != 0) {
    throw std::system_error(error, std::generic_category(), "cannot start the thread " + name);
  }
  started_ = true;
  pthread_setname_np(thread_, name.substr(0, 15).c_str());
}

void IoThread::run() {
  const LibeventLogScope libevent_log(log_);
  loop_.run();
}

void IoThread::exit() { EventLoop::call(*exit_); }

void IoThread::finish() {
  if (std::exchange(started_, false)) {
    exit();
    pthread_join(thread_, nullptr);
  }
  loop_.adopt();
  intake_.submit();
}

void IoThread::open() {
  try {
    for (const auto& endpoint : endpoints_) endpoint->open();
  } catch (const std::exception&) {
    loop_.fail(std::current_exception());
  }
}

void IoThread::add_connection(Descriptor socket, bool raw) {
  connections_.add(std::move(socket), raw);
}

void IoThread::begin_drain() {
  for (const auto& endpoint : endpoints_) endpoint->drain();
  connections_.drain();
  intake_.submit();
  draining_ = true;
  if (connections_.empty()) on_no_connection();
}

void IoThread::count_into(Statistics& statistics) const {
  for (const auto& endpoint : endpoints_) endpoint->count_into(statistics);
}

void IoThread::on_no_connection() {
  if (!draining_) return;
  drained_.store(true);
  on_drained_();
}

}  // namespace evpool
