// What the floor programs share, so that each of them is little more than its loop. They are what
// evpool is measured against, hence no libraries, and no care for anything but the bytes: a failure
// that is not a peer's doing ends the program with a sentence.
//
// Each is started as: PROGRAM PORT [--buffer BYTES] [--offload]. Port 0 lets the kernel choose.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string_view>

namespace evpool::bench {

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  _exit(1);
}

struct FloorOptions {
  std::uint16_t port = 0;
  std::size_t buffer_bytes = 0;  // 0: as the program likes
  bool offload = false;          // UDP only
};

inline FloorOptions parse_floor_options(std::span<char*> arguments) {
  const auto number = [](std::string_view text, auto& value) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    return error == std::errc{} && stop == end;
  };
  FloorOptions options;
  bool good = arguments.size() >= 2 && number(arguments[1], options.port);
  for (std::size_t i = 2; good && i < arguments.size(); ++i) {
    const std::string_view flag = arguments[i];
    if (flag == "--offload") {
      options.offload = true;
    } else {
      good = flag == "--buffer" && ++i < arguments.size() &&
             number(arguments[i], options.buffer_bytes) && options.buffer_bytes > 0;
    }
  }
  if (good) return options;
  std::fputs("usage: PROGRAM PORT [--buffer BYTES] [--offload]\n", stderr);
  _exit(2);
}

// A socket bound to 127.0.0.1; `type` as for socket(2).
inline int make_bound_socket(int type, std::uint16_t port) {
  const int bound = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  const int on = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bound < 0 || setsockopt(bound, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      bind(bound, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    die("cannot bind to 127.0.0.1");
  }
  return bound;
}

// As many descriptors as the system lets us have: each connection is one.
inline void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

inline int make_tcp_listener(std::uint16_t port) {
  raise_descriptor_limit();
  const int listener = make_bound_socket(SOCK_STREAM | SOCK_NONBLOCK, port);
  if (listen(listener, SOMAXCONN) != 0) die("cannot listen");
  return listener;
}

// The next connection, non-blocking; -1: none, after all.
inline int accept_connection(int listener) {
  const int connection = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (connection < 0) {
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) die("cannot accept");
    return -1;
  }
  const int on = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return connection;
}

// From here on SIGTERM and SIGINT end the program well.
inline void announce(const char* transport, int bound) {
  for (const int number : {SIGTERM, SIGINT}) std::signal(number, [](int) { _exit(0); });
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  if (getsockname(bound, reinterpret_cast<sockaddr*>(&address), &length) != 0) die("getsockname");
  std::printf("listening %s 127.0.0.1:%d\nready\n", transport, ntohs(address.sin_port));
  std::fflush(stdout);
}

// In place. Without branches, so that the compiler makes vectors of it.
inline void upper_case(char* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const bool lower = static_cast<unsigned char>(byte - 'a') < 26;
    bytes[i] = static_cast<char>(byte ^ (lower ? 0x20U : 0U));
  }
}

}  // namespace evpool::bench
