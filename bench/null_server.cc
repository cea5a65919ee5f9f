#include "bench/null_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "bench/load/frame_layout.h"
#include "bench/load/system.h"
#include "protocol/frame.h"

namespace evpool::bench {
namespace {

constexpr std::size_t kReceiveBytes = std::size_t{256} << 10U;

// Without branches, so that the compiler makes vectors of it.
void upper_case(char* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const bool lower = static_cast<unsigned char>(byte - 'a') < 26;
    bytes[i] = static_cast<char>(byte ^ (lower ? 0x20U : 0U));
  }
}

}  // namespace

NullServer::Descriptor::Descriptor(int value, const char* failure) : value_(value) {
  if (value < 0) throw_errno(failure);
}

NullServer::Descriptor::~Descriptor() { close(value_); }

NullServer::NullServer() : NullServer(1, Requests{.payload_bytes = 1}) { listen(); }

NullServer::NullServer(Requests requests)
    : NullServer(kFrameHeaderBytes + requests.name_bytes + requests.payload_bytes, requests) {
  const auto payload_bytes = static_cast<std::uint32_t>(requests.payload_bytes);
  append_reply_header(0, Status::ok, payload_bytes, reply_header_);
  listen();
}

NullServer::NullServer(std::size_t request_bytes, Requests requests)
    : request_bytes_(request_bytes),
      reply_bytes_(request_bytes - requests.name_bytes),
      name_bytes_(requests.name_bytes),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                "cannot create a socket"),
      epoll_(epoll_create1(EPOLL_CLOEXEC), "cannot create an epoll descriptor"),
      stop_(eventfd(0, EFD_CLOEXEC), "cannot create an eventfd"),
      // Room for the kept beginning of a request, and for the rest of it.
      buffer_(kReceiveBytes + 2 * request_bytes) {}

void NullServer::listen() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_.get(), generic, size) != 0 || ::listen(listener_.get(), SOMAXCONN) != 0 ||
      getsockname(listener_.get(), generic, &size) != 0) {
    throw_errno("cannot listen on 127.0.0.1");
  }
  port_ = ntohs(address.sin_port);
  if (!watch(EPOLL_CTL_ADD, listener_.get(), EPOLLIN) ||
      !watch(EPOLL_CTL_ADD, stop_.get(), EPOLLIN)) {
    throw_errno("cannot watch a socket");
  }
  thread_ = start_thread("the null server's thread", [this] { run(); });
}

NullServer::~NullServer() {
  if (!thread_.joinable()) return;  // it could not begin
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

double NullServer::cpu_seconds() {
  clockid_t clock{};
  timespec time{};
  if (pthread_getcpuclockid(thread_.native_handle(), &clock) != 0 ||
      clock_gettime(clock, &time) != 0) {
    throw std::runtime_error("the null server has ended");
  }
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

bool NullServer::watch(int operation, int socket, std::uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.fd = socket;
  return epoll_ctl(epoll_.get(), operation, socket, &event) == 0;
}

// --- The thread --------------------------------------------------------------------------------

void NullServer::run() {
  std::array<epoll_event, 64> events;
  bool stopped = false;
  while (!stopped) {
    const int ready = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    if (ready < 0 && errno != EINTR) break;  // the clients see their connections end
    for (int i = 0; i < ready; ++i) {
      const int socket = events[static_cast<std::size_t>(i)].data.fd;
      if (socket == stop_.get()) {
        stopped = true;
      } else if (socket == listener_.get()) {
        accept();
      } else {
        const bool waits = !connections_[static_cast<std::size_t>(socket)].unsent.empty();
        if (!(waits ? send_rest(socket) : answer(socket))) drop(socket);
      }
    }
  }
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    if (connections_[i].open) drop(static_cast<int>(i));
  }
}

void NullServer::accept() {
  const int socket = accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (socket < 0) return;
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const auto index = static_cast<std::size_t>(socket);
  if (index >= connections_.size()) connections_.resize(index + 1);
  connections_[index].open = true;
  if (!watch(EPOLL_CTL_ADD, socket, EPOLLIN)) drop(socket);
}

void NullServer::drop(int socket) {
  connections_[static_cast<std::size_t>(socket)] = {};
  close(socket);
}

bool NullServer::answer(int socket) {
  Connection& connection = connections_[static_cast<std::size_t>(socket)];
  std::size_t bytes = connection.kept.copy(buffer_.data(), connection.kept.size());
  const ssize_t received = recv(socket, &buffer_[bytes], buffer_.size() - bytes, 0);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (received <= 0) return false;
  bytes += static_cast<std::size_t>(received);

  const std::size_t requests = bytes / request_bytes_;
  const std::size_t whole_bytes = requests * request_bytes_;
  connection.kept.assign(buffer_.data() + whole_bytes, bytes - whole_bytes);
  if (requests == 0) return true;
  if (!make_replies(requests)) return false;

  const std::size_t replies_bytes = requests * reply_bytes_;
  const ssize_t sent = send(socket, buffer_.data(), replies_bytes, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
  const auto sent_bytes = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
  if (sent_bytes == replies_bytes) return true;
  connection.unsent.assign(&buffer_[sent_bytes], replies_bytes - sent_bytes);
  return watch(EPOLL_CTL_MOD, socket, EPOLLOUT);
}

bool NullServer::make_replies(std::size_t requests) {
  if (reply_header_.empty()) {
    upper_case(buffer_.data(), requests);
    return true;
  }
  const std::size_t payload_bytes = reply_bytes_ - kFrameHeaderBytes;
  const char* request = buffer_.data();
  char* reply = buffer_.data();  // never ahead of `request`, as replies have no names
  for (; requests > 0; --requests, request += request_bytes_, reply += reply_bytes_) {
    if (static_cast<unsigned char>(request[kNameBytesOffset]) != name_bytes_ ||
        std::memcmp(request + kPayloadBytesOffset, &reply_header_[kPayloadBytesOffset],
                    sizeof(std::uint32_t)) != 0) {
      return false;
    }
    std::array<char, kIdBytes> id;
    std::memcpy(id.data(), request + kIdOffset, kIdBytes);
    std::memmove(reply + kFrameHeaderBytes, request + kFrameHeaderBytes + name_bytes_,
                 payload_bytes);
    std::memcpy(reply, reply_header_.data(), kFrameHeaderBytes);
    std::memcpy(reply + kIdOffset, id.data(), kIdBytes);
    upper_case(reply + kFrameHeaderBytes, payload_bytes);
  }
  return true;
}

bool NullServer::send_rest(int socket) {
  std::string& unsent = connections_[static_cast<std::size_t>(socket)].unsent;
  const ssize_t sent = send(socket, unsent.data(), unsent.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR;
  unsent.erase(0, static_cast<std::size_t>(sent));
  return !unsent.empty() || watch(EPOLL_CTL_MOD, socket, EPOLLIN);
}

}  // namespace evpool::bench
