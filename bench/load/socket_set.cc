#include "bench/load/socket_set.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "bench/load/system.h"

namespace evpool::bench {
namespace {

constexpr std::size_t kReceiveBytes = std::size_t{256} << 10U;

}  // namespace

SocketSet::SocketSet(const LoadOptions& options, const Dialect& dialect, std::size_t count,
                     Random& random, Account& account)
    : options_(options),
      dialect_(dialect),
      random_(random),
      account_(account),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      offload_(options.offload) {
  if (epoll_ < 0) throw_errno("cannot create an epoll descriptor");
  sockets_.resize(count);
  if (is_udp()) {
    datagram_receiver_ = std::make_unique<DatagramReceiver>();
  } else {
    buffer_ = std::make_unique<char[]>(kReceiveBytes);
  }
}

SocketSet::~SocketSet() { ::close(epoll_); }

void SocketSet::open(std::uint32_t number) {
  Socket& socket = sockets_[number];
  auto client = std::make_unique<ClientSocket>(options_.server, is_udp(), options_.timeout);
  const int descriptor = client->get();
  if (is_udp()) {
    offload_ = prepare_datagram_socket(descriptor, offload_);
  } else {
    socket.reader = dialect_.make_reader();
    socket.unsent.clear();
    socket.unsent.append(dialect_.greeting());
  }
  socket.wants_writable = false;
  epoll_event event = {.events = EPOLLIN, .data = {.u32 = number}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) {
    throw_errno("cannot watch a socket");
  }
  socket.client = std::move(client);
  ++open_count_;
}

void SocketSet::close(std::uint32_t number) {
  Socket& socket = sockets_[number];
  socket.client.reset();
  socket.broken = false;
  --open_count_;
}

void SocketSet::watch(Socket& socket, std::uint32_t number, bool writable) const {
  if (std::exchange(socket.wants_writable, writable) == writable) return;
  epoll_event event = {.events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN, .data = {.u32 = number}};
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, socket.client->get(), &event) != 0) {
    throw_errno("cannot watch a socket");
  }
}

// --- Sending -----------------------------------------------------------------------------------

void SocketSet::add(std::uint32_t number, std::span<const OutgoingRequest> requests, bool measured,
                    Clock::time_point now) {
  Socket& socket = sockets_[number];
  mark(number);
  if (is_udp()) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      datagram_.clear();
      dialect_.append_requests(requests.subspan(i, 1), datagram_);
      socket.datagrams.add(datagram_.unsent(), measured, options_.impairment, random_, now,
                           account_);
    }
    return;
  }
  if (!socket.unsent.has_memory()) socket.unsent.swap(spare_);
  dialect_.append_requests(requests, socket.unsent);
  if (socket.unsent.size() >= kFlushBytes) flush_stream(number);
}

void SocketSet::mark(std::uint32_t number) {
  if (!std::exchange(sockets_[number].marked, true)) marked_.push_back(number);
}

// Those that nothing has overtaken.
void SocketSet::release_held(Clock::time_point now) {
  for (std::uint32_t number = 0; number < sockets_.size(); ++number) {
    if (sockets_[number].datagrams.release_held(now)) mark(number);
  }
}

void SocketSet::flush(std::uint32_t number) {
  if (!is_usable(number)) return;
  is_udp() ? flush_datagrams(number) : flush_stream(number);
}

void SocketSet::flush_stream(std::uint32_t number) {
  Socket& socket = sockets_[number];
  SendBuffer& unsent = socket.unsent;
  while (!unsent.empty()) {
    ++counts_.send_calls;
    const ssize_t sent =
        send(socket.client->get(), unsent.unsent().data(), unsent.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) {
      socket.broken = true;
      mark(number);
      return;
    }
    if (sent < 0) break;
    unsent.sent(static_cast<std::size_t>(sent));
  }
  watch(socket, number, !unsent.empty());
  if (unsent.empty() && !spare_.has_memory()) unsent.swap(spare_);
}

void SocketSet::flush_datagrams(std::uint32_t number) {
  Socket& socket = sockets_[number];
  const auto flushed = socket.datagrams.queue().flush(socket.client->get(), offload_);
  counts_.send_calls += flushed.calls;
  counts_.offload_used |= flushed.offloaded;
  counts_.refused |= flushed.refused;
  watch(socket, number, !socket.datagrams.queue().empty());
}

// --- Receiving ---------------------------------------------------------------------------------

void SocketSet::wait(Clock::duration longest) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
  const std::chrono::nanoseconds rest = longest - seconds;
  const timespec timeout = {.tv_sec = seconds.count(), .tv_nsec = rest.count()};
  const int ready = wait_for_events(timeout);
  if (ready < 0 && errno != EINTR) throw_errno("cannot wait for replies");
  ready_count_ = ready < 0 ? 0 : static_cast<std::size_t>(ready);
}

// Linux before 5.11 has no epoll_pwait2, and some sandboxes forbid it. epoll_wait alone counts in
// milliseconds, which would send an open loop's requests late; ppoll waits to the nanosecond, for
// one system call more.
int SocketSet::wait_for_events(const timespec& timeout) {
  if (has_pwait2_) {
    const int ready = epoll_pwait2(epoll_, ready_.data(), kMostReady, &timeout, nullptr);
    if (ready >= 0 || (errno != ENOSYS && errno != EPERM)) return ready;
    has_pwait2_ = false;
  }
  pollfd waiting = {.fd = epoll_, .events = POLLIN, .revents = 0};
  const int any = ppoll(&waiting, 1, &timeout, nullptr);
  return any <= 0 ? any : epoll_wait(epoll_, ready_.data(), kMostReady, 0);
}

void SocketSet::receive(Receiver& receiver) {
  for (const epoll_event& event : std::span(ready_).first(std::exchange(ready_count_, 0))) {
    const std::uint32_t number = event.data.u32;
    if ((event.events & EPOLLOUT) != 0) mark(number);
    if ((event.events & ~EPOLLOUT) == 0) continue;
    is_udp() ? receive_datagrams(number, receiver) : receive_stream(number, receiver);
  }
}

void SocketSet::receive_stream(std::uint32_t number, Receiver& receiver) {
  Socket& socket = sockets_[number];
  while (!socket.broken) {
    std::span<char> space = socket.reader->space();
    const bool direct = !space.empty();
    if (!direct) space = {buffer_.get(), kReceiveBytes};
    ++counts_.receive_calls;
    const ssize_t received = recv(socket.client->get(), space.data(), space.size(), 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (received <= 0) {
      socket.broken = true;
      mark(number);
      return;
    }
    const Clock::time_point now = Clock::now();
    const auto bytes = static_cast<std::size_t>(received);
    direct ? socket.reader->received(bytes) : socket.reader->push({space.data(), bytes});
    while (const std::size_t replies = socket.reader->next(replies_)) {
      receiver.take_replies(number, now, {replies_.data(), replies});
    }
    receiver.after_receive(number);
    if (bytes < space.size()) return;
  }
}

void SocketSet::receive_datagrams(std::uint32_t number, Receiver& receiver) {
  Socket& socket = sockets_[number];
  for (;;) {
    Clock::time_point now{};
    const auto received =
        datagram_receiver_->receive(socket.client->get(), [&](std::string_view datagram) {
          if (now == Clock::time_point{}) now = Clock::now();
          IncomingReply reply;
          if (dialect_.read_datagram(datagram, reply)) {
            receiver.take_replies(number, now, {&reply, 1});
          } else {
            ++account_.malformed;
          }
        });
    receiver.after_receive(number);
    ++counts_.receive_calls;
    counts_.offload_used |= received.offloaded;
    counts_.refused |= received.refused;
    socket.kernel_drops = std::max(socket.kernel_drops, received.drops);
    if (received.messages == 0 && !received.refused) return;
  }
}

std::uint64_t SocketSet::kernel_drops() const {
  std::uint64_t drops = 0;
  for (const Socket& socket : sockets_) drops += socket.kernel_drops;
  return drops;
}

}  // namespace evpool::bench
