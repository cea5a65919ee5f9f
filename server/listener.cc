#include "server/listener.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace evpool {
namespace {

// After a failure for want of descriptors or memory: long enough not to spin, short enough that a
// peer does not notice.
constexpr std::chrono::milliseconds kBackOff{50};

Descriptor open_reserve() { return Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

bool is_want_of_descriptors(int error) { return error == EMFILE || error == ENFILE; }

bool is_about_one_connection(int error) {
  return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM;
}

}  // namespace

Listener::Listener(EventLoop& loop, Take take, MakeRoom make_room, ConnectionCounts& counts,
                   const Log& log, Descriptor socket, bool raw)
    : take_(std::move(take)),
      make_room_(std::move(make_room)),
      counts_(counts),
      log_(log),
      socket_(std::move(socket)),
      raw_(raw),
      reserve_(open_reserve()),
      acceptable_(
          loop.new_event<&Listener::accept_some>(socket_.get(), EV_READ | EV_PERSIST, this)),
      resume_timer_(loop.new_event<&Listener::resume>(-1, 0, this)) {
  if (!EventLoop::watch(*acceptable_)) {
    throw std::system_error(errno, std::generic_category(), "cannot wait for connections");
  }
}

void Listener::resume() {
  if (!EventLoop::watch(*acceptable_)) back_off(errno);
}

bool Listener::accept_some() {
  for (int i = 0; i < kAcceptQuota; ++i) {
    Descriptor accepted(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (accepted.valid()) {
      take_(std::move(accepted), raw_);
      continue;
    }
    const int error = errno;
    if (error == EAGAIN || error == EWOULDBLOCK) return false;
    if (is_about_one_connection(error)) continue;
    if (is_want_of_descriptors(error) && make_room_()) continue;
    back_off(error);
    return false;
  }
  return true;
}

// The failure would come again at once, and again, so let the loop do something else meanwhile.
void Listener::back_off(int error) {
  if (is_want_of_descriptors(error)) turn_one_away();
  if (error_lines_.allow()) {
    log_(LogLevel::error, "cannot accept connections: {} (see ulimit -n; {} such errors unlogged)",
         std::strerror(error),  // NOLINT(concurrency-mt-unsafe): glibc's is
         error_lines_.suppressed());
  }
  event_del(acceptable_.get());
  EventLoop::arm(*resume_timer_, kBackOff);
}

void Listener::turn_one_away() {
  counts_.refused.fetch_add(1);
  reserve_.close();
  Descriptor(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)).close();
  reserve_ = open_reserve();
}

}  // namespace evpool
