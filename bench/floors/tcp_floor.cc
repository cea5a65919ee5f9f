// evpool-tcp-floor: the least that a server can do for a job that arrives over TCP. One thread
// waits with epoll, reads what there is, upper-cases it in place and writes it back.
//
// It leaves out: frames, and so knowing where a job ends; queues, bounds and deadlines; workers;
// and replies that are another length than their requests. What is read at once is answered at
// once, however many jobs it is. With --buffer 262144 it is the floor of large payloads.
#include <sys/epoll.h>

#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/floors/floor.h"

namespace evpool::bench {
namespace {

class TcpFloor {
 public:
  TcpFloor(int listener, std::size_t buffer_bytes)
      : listener_(listener), epoll_(epoll_create1(EPOLL_CLOEXEC)), buffer_(buffer_bytes) {
    watch(EPOLL_CTL_ADD, listener_, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 128> events;
    for (;;) {
      const int ready = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      if (ready < 0 && errno != EINTR) die("epoll_wait");
      for (int i = 0; i < ready; ++i) {
        const int socket = events[static_cast<std::size_t>(i)].data.fd;
        if (socket == listener_) {
          const int connection = accept_connection(listener_);
          if (connection >= 0) watch(EPOLL_CTL_ADD, connection, EPOLLIN);
        } else if (!unsent_.empty() && unsent_.contains(socket)) {
          send_rest(socket);
        } else {
          answer(socket);
        }
      }
    }
  }

 private:
  void watch(int operation, int socket, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = socket;
    if (epoll_ctl(epoll_, operation, socket, &event) != 0) die("epoll_ctl");
  }

  void answer(int socket) {
    const ssize_t got = recv(socket, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      close(socket);
      return;
    }
    const auto bytes = static_cast<std::size_t>(got);
    upper_case(buffer_.data(), bytes);
    std::size_t sent = 0;
    if (!send_some(socket, {buffer_.data(), bytes}, sent)) {
      close(socket);
    } else if (sent < bytes) {
      // Nothing more is read from a peer that does not take its replies.
      unsent_.emplace(socket, std::string(buffer_.data() + sent, bytes - sent));
      watch(EPOLL_CTL_MOD, socket, EPOLLOUT);
    }
  }

  void send_rest(int socket) {
    std::string& rest = unsent_.at(socket);
    std::size_t sent = 0;
    const bool alive = send_some(socket, rest, sent);
    rest.erase(0, sent);
    if (alive && !rest.empty()) return;
    unsent_.erase(socket);
    alive ? watch(EPOLL_CTL_MOD, socket, EPOLLIN) : static_cast<void>(close(socket));
  }

  // False: the peer is gone.
  static bool send_some(int socket, std::string_view bytes, std::size_t& sent) {
    const ssize_t result = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (result < 0) return errno == EAGAIN;
    sent = static_cast<std::size_t>(result);
    return true;
  }

  const int listener_;
  const int epoll_;
  std::vector<char> buffer_;
  std::unordered_map<int, std::string> unsent_;  // by socket; never empty strings
};

}  // namespace
}  // namespace evpool::bench

int main(int argc, char** argv) {
  using namespace evpool::bench;
  const FloorOptions options = parse_floor_options({argv, static_cast<std::size_t>(argc)});
  const int listener = make_tcp_listener(options.port);
  TcpFloor floor(listener, options.buffer_bytes > 0 ? options.buffer_bytes : 65'536);
  announce("tcp", listener);
  floor.run();
}
