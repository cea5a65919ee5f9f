// evpool-tcp-hop-floor: the tcp floor plus the least that a server with workers must add, one
// hand-over to another thread. The receiver waits with epoll and reads straight into a slot of a
// ring; one worker upper-cases what is in it and sends it itself.
//
// It leaves out what the tcp floor leaves out, and more than one worker. A chunk, what was read at
// once, is the unit that changes hands. While the worker waits for a peer that does not take its
// replies it does nothing else; after kSendTimeoutMs it drops that peer.
#include <poll.h>
#include <sys/epoll.h>

#include <array>
#include <thread>
#include <vector>

#include "bench/floors/floor.h"
#include "bench/floors/spsc_ring.h"

namespace evpool::bench {
namespace {

constexpr int kSendTimeoutMs = 1'000;

struct Chunk {
  int socket = -1;
  std::size_t bytes = 0;  // 0: close it
  std::vector<char> buffer;
};

// More than the usual number of connections: each has at most a few chunks on their way.
using Ring = SpscRing<Chunk, 256>;

void watch(int epoll, int socket) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = socket;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) != 0) die("epoll_ctl");
}

void receive(Ring& ring, int epoll, int socket, std::size_t buffer_bytes) {
  Chunk& chunk = ring.claim();
  if (chunk.buffer.empty()) chunk.buffer.resize(buffer_bytes);
  const ssize_t got = recv(socket, chunk.buffer.data(), chunk.buffer.size(), 0);
  if (got < 0 && errno == EAGAIN) return;
  chunk.socket = socket;
  chunk.bytes = got > 0 ? static_cast<std::size_t>(got) : 0;
  // The worker may still have chunks of this socket, so it closes it, after them. Nothing is
  // published for it any more: its number may be a new connection's as soon as it is closed.
  if (chunk.bytes == 0) epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nullptr);
  ring.publish();
}

[[noreturn]] void run_receiver(Ring& ring, int listener, std::size_t buffer_bytes) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listener);
  std::array<epoll_event, 128> events;
  for (;;) {
    const int ready = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; ++i) {
      const int socket = events[static_cast<std::size_t>(i)].data.fd;
      if (socket == listener) {
        const int connection = accept_connection(listener);
        if (connection >= 0) watch(epoll, connection);
      } else {
        receive(ring, epoll, socket, buffer_bytes);
      }
    }
  }
}

void send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    pollfd room{.fd = socket, .events = POLLOUT, .revents = 0};
    if (errno == EAGAIN && poll(&room, 1, kSendTimeoutMs) > 0) continue;
    // The receiver then finds its end, and has it closed.
    shutdown(socket, SHUT_RDWR);
    return;
  }
}

[[noreturn]] void run_worker(Ring& ring) {
  for (;;) {
    Chunk& chunk = ring.front();
    if (chunk.bytes == 0) {
      close(chunk.socket);
    } else {
      upper_case(chunk.buffer.data(), chunk.bytes);
      send_all(chunk.socket, {chunk.buffer.data(), chunk.bytes});
    }
    ring.pop();
  }
}

}  // namespace
}  // namespace evpool::bench

int main(int argc, char** argv) {
  using namespace evpool::bench;
  const FloorOptions options = parse_floor_options({argv, static_cast<std::size_t>(argc)});
  const int listener = make_tcp_listener(options.port);
  Ring ring;
  const std::jthread worker([&ring] { run_worker(ring); });
  announce("tcp", listener);
  run_receiver(ring, listener, options.buffer_bytes > 0 ? options.buffer_bytes : 65'536);
}
