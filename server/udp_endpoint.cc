#include "server/udp_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "protocol/frame.h"
#include "protocol/text.h"

namespace evpool {
namespace {

// Datagrams received by one system call.
constexpr std::size_t kBatchDatagrams = 32;
// Calls in one turn of the loop, before the connections have theirs.
constexpr int kReceiveQuotaBatches = 4;
// And in the last turn, before a drain: all that the receive buffer can hold, within reason.
constexpr int kDrainQuotaBatches = 4096;
// The kernel's largest datagram, and one byte more would be truncated.
constexpr std::size_t kBufferBytes = 65'536;

}  // namespace

struct UdpEndpoint::Batch {
  struct Datagram {
    std::array<char, kBufferBytes> bytes;
    PeerAddress peer;
    iovec vector;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint32_t))> control;
  };

  std::array<Datagram, kBatchDatagrams> datagrams;
  std::array<mmsghdr, kBatchDatagrams> headers;

  // The kernel overwrites lengths, so the headers are made anew for each call.
  void prepare() {
    for (std::size_t i = 0; i < kBatchDatagrams; ++i) {
      Datagram& datagram = datagrams[i];
      datagram.vector = {.iov_base = datagram.bytes.data(), .iov_len = datagram.bytes.size()};
      headers[i] = {};
      msghdr& header = headers[i].msg_hdr;
      header.msg_name = &datagram.peer;
      header.msg_namelen = sizeof(datagram.peer);
      header.msg_iov = &datagram.vector;
      header.msg_iovlen = 1;
      header.msg_control = datagram.control.data();
      header.msg_controllen = datagram.control.size();
    }
  }
};

namespace {

// The kernel's running count of datagrams dropped for want of receive buffer, if it sent one along.
bool read_drop_count(msghdr& header, std::uint32_t& drops) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
       control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SO_RXQ_OVFL) continue;
    std::memcpy(&drops, CMSG_DATA(control), sizeof(drops));
    return true;
  }
  return false;
}

}  // namespace

UdpEndpoint::UdpEndpoint(EventLoop& loop, Dispatcher& dispatcher, const ServerOptions& options,
                         Descriptor socket)
    : loop_(loop),
      dispatcher_(dispatcher),
      options_(options),
      socket_(std::move(socket)),
      port_(local_address(socket_).port),
      readable_(loop.new_event(
          socket_.get(), EV_READ | EV_PERSIST,
          [](int, short, void* argument) {
            auto& self = *static_cast<UdpEndpoint*>(argument);
            for (int i = 0; i < kReceiveQuotaBatches && self.receive_batch(); ++i) {
            }
          },
          this)),
      batch_(std::make_unique_for_overwrite<Batch>()) {
  const int on = 1;
  setsockopt(socket_.get(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
}

UdpEndpoint::~UdpEndpoint() = default;

void UdpEndpoint::open() {
  loop_.assert_in_loop_thread();
  event_add(readable_.get(), nullptr);
}

void UdpEndpoint::drain() {
  loop_.assert_in_loop_thread();
  if (!readable_) return;
  for (int i = 0; i < kDrainQuotaBatches && receive_batch(); ++i) {
  }
  readable_.reset();
}

void UdpEndpoint::fit(const ReplyTo& to, Reply& reply) const {
  const std::size_t head_bytes = to.raw ? 0 : kFrameHeaderBytes;
  if (to.raw && reply.status != Status::ok) return;  // made text, and cut, when it is sent
  if (head_bytes + reply.payload.size() <= to.limit_bytes) return;
  const std::size_t room_bytes = to.limit_bytes - std::min<std::size_t>(to.limit_bytes, head_bytes);
  if (reply.status == Status::ok) {
    reply = {.status = Status::too_large,
             .payload =
                 fmt::format("the reply of {} bytes does not fit the {} bytes it may have; use TCP",
                             reply.payload.size(), room_bytes)};
  }
  if (!to.raw && reply.payload.size() > room_bytes) reply.payload.resize(room_bytes);
}

bool UdpEndpoint::send(const ReplyTo& to, Reply&& reply) noexcept {
  if (to.raw) {
    const std::string text = format_text_reply(reply.status, std::move(reply.payload));
    return send_bytes(to, std::string_view(text).substr(0, to.limit_bytes));
  }
  std::string frame;
  frame.reserve(kFrameHeaderBytes + reply.payload.size());
  append_reply_header(to.id, reply.status, static_cast<std::uint32_t>(reply.payload.size()), frame);
  frame += reply.payload;
  return send_bytes(to, frame);
}

void UdpEndpoint::count_into(Statistics& statistics) const {
  statistics.datagrams_ignored += ignored_.load();
  statistics.datagrams_dropped += dropped_by_kernel_.load();
  statistics.pings += pings_.load();
}

std::uint32_t UdpEndpoint::answer_limit_bytes(const PeerAddress& peer, std::size_t datagram_bytes) {
  return static_cast<std::uint32_t>(
      peer.is_loopback() ? kMaxDatagramBytes : std::min(kMaxRemoteDatagramBytes, datagram_bytes));
}

bool UdpEndpoint::receive_batch() {
  batch_->prepare();
  const int received =
      recvmmsg(socket_.get(), batch_->headers.data(), kBatchDatagrams, MSG_DONTWAIT, nullptr);
  if (received <= 0) return false;
  for (std::size_t i = 0; i < static_cast<std::size_t>(received); ++i) {
    mmsghdr& header = batch_->headers[i];
    std::uint32_t drops = 0;
    if (read_drop_count(header.msg_hdr, drops)) dropped_by_kernel_.store(drops);
    const bool truncated = (header.msg_hdr.msg_flags & MSG_TRUNC) != 0;
    take_datagram({batch_->datagrams[i].bytes.data(), header.msg_len}, batch_->datagrams[i].peer,
                  truncated);
  }
  return static_cast<std::size_t>(received) == kBatchDatagrams;
}

void UdpEndpoint::take_datagram(std::string_view datagram, const PeerAddress& peer,
                                bool truncated) {
  const std::size_t limit_bytes = peer.is_loopback() ? kMaxDatagramBytes : kMaxRemoteDatagramBytes;
  const ReplyTo to = {.raw = !looks_like_frame(datagram),
                      .limit_bytes = answer_limit_bytes(peer, datagram.size()),
                      .peer = peer};
  // A raw answer of another server comes from the port that it listens on, most likely ours.
  if (to.raw ? peer.port() == port_ : !is_answerable(datagram)) {
    ignored_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  Frame request;
  FrameError error = FrameError::none;
  if (to.raw) {
    request.name = options_.default_job;
    request.payload = datagram;
  } else {
    error = decode_datagram(datagram, request);
  }
  take_request(to, std::move(request), error, truncated || datagram.size() > limit_bytes);
}

void UdpEndpoint::take_request(ReplyTo to, Frame&& request, FrameError error, bool over_limit) {
  to.id = request.header.id;
  if (over_limit) {
    refuse(to, Status::too_large,
           fmt::format("a datagram from elsewhere may have {} bytes, from this machine {}; use TCP",
                       kMaxRemoteDatagramBytes, kMaxDatagramBytes));
  } else if (error != FrameError::none) {
    refuse(to, Status::bad_request, std::string(explain(error)));
  } else if (request.payload.size() > options_.max_payload_bytes) {
    refuse(to, Status::too_large,
           fmt::format("the payload is {} bytes, the limit {}", request.payload.size(),
                       options_.max_payload_bytes));
  } else if (request.header.type == FrameType::ping) {
    pings_.fetch_add(1, std::memory_order_relaxed);
    std::string pong;
    append_header({.type = FrameType::pong, .id = to.id}, pong);
    send_bytes(to, pong);
  } else {
    dispatcher_.dispatch(shared_from_this(), to, std::move(request));
  }
}

void UdpEndpoint::refuse(const ReplyTo& to, Status status, std::string why) {
  dispatcher_.refuse(*this, to, {.status = status, .payload = std::move(why)});
}

// When the socket's send buffer is full the reply is lost, as any datagram may be: a worker must
// not wait for a network.
bool UdpEndpoint::send_bytes(const ReplyTo& to, std::string_view bytes) const {
  ssize_t sent = 0;
  do {
    sent = sendto(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                  &to.peer.any, to.peer.size());
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

}  // namespace evpool
