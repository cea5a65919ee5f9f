#include "bench/plain_client.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <vector>

#include "bench/load/system.h"
#include "client/transport.h"

namespace evpool::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBufferBytes = std::size_t{256} << 10U;
constexpr std::chrono::milliseconds kPatience{10'000};

class PlainClient {
 public:
  explicit PlainClient(std::size_t connections)
      : epoll_(epoll_create1(EPOLL_CLOEXEC)),
        requests_(kBufferBytes, 'a'),
        replies_(kBufferBytes),
        connections_(connections) {
    if (epoll_ < 0) throw_errno("cannot create an epoll descriptor");
  }
  ~PlainClient() { close(epoll_); }
  PlainClient(const PlainClient&) = delete;
  PlainClient& operator=(const PlainClient&) = delete;

  void begin(const PlainClientOptions& options) {
    for (std::uint32_t i = 0; i < connections_.size(); ++i) {
      Connection& connection = connections_[i];
      connection.socket = std::make_unique<ClientSocket>(options.server, false, kPatience);
      watch(EPOLL_CTL_ADD, i, EPOLLIN);
      connection.owed_bytes = options.in_flight * options.bytes;
    }
    for (std::uint32_t i = 0; i < connections_.size(); ++i) send(i);
  }

  void run_until(Clock::time_point end) {
    std::array<epoll_event, 64> events;
    while (Clock::now() < end) {
      const int ready = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 10);
      if (ready < 0 && errno != EINTR) throw_errno("cannot wait for replies");
      for (int i = 0; i < ready; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if ((event.events & ~EPOLLOUT) != 0) receive(event.data.u32);
        send(event.data.u32);
      }
    }
  }

  [[nodiscard]] std::uint64_t received_bytes() const { return received_bytes_; }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }

 private:
  struct Connection {
    std::unique_ptr<ClientSocket> socket;
    std::size_t owed_bytes = 0;  // to be sent
    bool wants_writable = false;
  };

  void watch(int operation, std::uint32_t index, std::uint32_t events) const {
    epoll_event event = {.events = events, .data = {.u32 = index}};
    if (epoll_ctl(epoll_, operation, connections_[index].socket->get(), &event) != 0) {
      throw_errno("cannot watch a socket");
    }
  }

  void receive(std::uint32_t index) {
    Connection& connection = connections_[index];
    ++calls_;
    const ssize_t received = recv(connection.socket->get(), replies_.data(), replies_.size(), 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (received < 0) throw_errno("cannot receive");
    if (received == 0) throw std::runtime_error("the server ended a connection");
    connection.owed_bytes += static_cast<std::size_t>(received);
    received_bytes_ += static_cast<std::size_t>(received);
  }

  void send(std::uint32_t index) {
    Connection& connection = connections_[index];
    while (connection.owed_bytes > 0) {
      ++calls_;
      const ssize_t sent = ::send(connection.socket->get(), requests_.data(),
                                  std::min(connection.owed_bytes, requests_.size()), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno != EAGAIN) throw_errno("cannot send");
      if (sent < 0) break;
      connection.owed_bytes -= static_cast<std::size_t>(sent);
    }
    const bool writable = connection.owed_bytes > 0;
    if (writable == connection.wants_writable) return;
    connection.wants_writable = writable;
    watch(EPOLL_CTL_MOD, index, writable ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  const int epoll_;
  const std::vector<char> requests_;  // letters
  std::vector<char> replies_;
  std::vector<Connection> connections_;
  std::uint64_t received_bytes_ = 0;
  std::uint64_t calls_ = 0;
};

}  // namespace

PlainClientResult run_plain_client(const PlainClientOptions& options) {
  PlainClient client(options.connections);
  client.begin(options);
  client.run_until(Clock::now() + options.warm_up);

  const Clock::time_point begin = Clock::now();
  const double cpu_before_s = thread_cpu_seconds();
  const std::uint64_t bytes_before = client.received_bytes();
  const std::uint64_t calls_before = client.calls();
  client.run_until(begin + options.duration);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const double cpu_seconds = thread_cpu_seconds() - cpu_before_s;
  const double replies = static_cast<double>(client.received_bytes() - bytes_before) /
                         static_cast<double>(options.bytes);
  if (!(replies > 0)) throw std::runtime_error("the server did not reply");
  return {.replies_per_second = replies / seconds,
          .cpu_ns_per_reply = cpu_seconds * 1e9 / replies,
          .calls_per_reply = static_cast<double>(client.calls() - calls_before) / replies};
}

}  // namespace evpool::bench
