#include "server/udp_endpoint.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "protocol/frame.h"
#include "protocol/text.h"
#include "server/refusal.h"

namespace evpool {
namespace {

// In one turn of the loop, before the connections have theirs: system calls, and datagrams, of
// which one call may give 2,048 (32 buffers of 64 segments).
constexpr int kTurnBatches = 4;
constexpr std::size_t kTurnDatagrams = 512;
// And in the last turn, before a drain: all that the receive buffer can hold, within reason.
constexpr int kDrainQuotaBatches = 4096;

}  // namespace

UdpEndpoint::UdpEndpoint(EventLoop& loop, Intake& intake, const ServerOptions& options,
                         std::span<const std::uint16_t> own_ports, Descriptor socket)
    : loop_(loop),
      intake_(intake),
      options_(options),
      own_ports_(own_ports),
      socket_(std::move(socket)),
      readable_(loop.new_event<&UdpEndpoint::take_turn>(socket_.get(), EV_READ | EV_PERSIST, this)),
      receiver_(socket_, options.udp_offload),
      offload_(options.udp_offload) {}

void UdpEndpoint::open() {
  loop_.assert_in_loop_thread();
  if (EventLoop::watch(*readable_)) return;
  throw std::system_error(errno, std::generic_category(), "cannot wait for datagrams");
}

void UdpEndpoint::take_turn() {
  taken_in_turn_ = 0;
  for (int i = 0; i < kTurnBatches && taken_in_turn_ < kTurnDatagrams && receive_batch(); ++i) {
  }
}

void UdpEndpoint::drain() {
  loop_.assert_in_loop_thread();
  if (!readable_) return;
  for (int i = 0; i < kDrainQuotaBatches && receive_batch(); ++i) {
  }
  readable_.reset();
}

void UdpEndpoint::encode(const ReplyTo& to, Reply& reply, Replies& replies) const {
  const Origin& origin = *to.origin;
  const std::size_t head_bytes = origin.raw ? 0 : kFrameHeaderBytes;
  const std::size_t room_bytes =
      origin.limit_bytes - std::min<std::size_t>(origin.limit_bytes, head_bytes);
  if (reply.status == Status::ok && reply.payload.size() > room_bytes) {
    reply = refusal(Status::too_large, [&] {
      return fmt::format("the reply of {} bytes does not fit the {} bytes it may have; use TCP",
                         reply.payload.size(), room_bytes);
    });
  }
  const std::size_t begin = replies.bytes.size();
  if (origin.raw) {
    append_text_head(reply.status, reply.payload, replies.bytes);
  } else {
    if (reply.payload.size() > room_bytes) reply.payload.resize(room_bytes);
    append_reply_header(to.id, reply.status, static_cast<std::uint32_t>(reply.payload.size()),
                        replies.bytes);
  }
  replies.bytes += reply.payload;
  if (replies.bytes.size() - begin > head_bytes + room_bytes) {
    replies.bytes.resize(begin + head_bytes + room_bytes);
  }
  replies.peers.push_back(origin.peer);
  replies.mark(to.id);
}

std::size_t UdpEndpoint::send(Replies& replies) noexcept {
  const std::size_t sent = send_datagrams(socket_, replies, offload_);
  replies.clear();
  return sent;
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
  const bool more =
      receiver_.receive([this](const ReceivedDatagram& datagram) { take_datagram(datagram); });
  dropped_by_kernel_.store(receiver_.dropped(), std::memory_order_relaxed);
  send_datagrams(socket_, pongs_, offload_);
  pongs_.clear();
  return more;
}

void UdpEndpoint::take_datagram(const ReceivedDatagram& datagram) {
  ++taken_in_turn_;
  const std::string_view bytes = datagram.bytes;
  const PeerAddress& peer = datagram.peer;
  const std::size_t limit_bytes = peer.is_loopback() ? kMaxDatagramBytes : kMaxRemoteDatagramBytes;
  const Origin origin = {.peer = peer,
                         .limit_bytes = answer_limit_bytes(peer, bytes.size()),
                         .raw = !looks_like_frame(bytes)};
  if (origin.raw ? may_be_raw_answer(peer) : !is_answerable(bytes)) {
    ignored_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  FrameView request;
  FrameError error = FrameError::none;
  if (origin.raw) {
    request.name = options_.default_job;
    request.payload = bytes;
  } else {
    error = decode_datagram(bytes, request);
  }
  take_request(origin, request, error, datagram.truncated || bytes.size() > limit_bytes);
}

// Without memory for a pong, there is none: a datagram may be lost.
void UdpEndpoint::add_pong(const ReplyTo& to) noexcept {
  try {
    append_header({.type = FrameType::pong, .id = to.id}, pongs_.bytes);
    pongs_.peers.push_back(to.origin->peer);
    pongs_.mark(to.id);
  } catch (const std::bad_alloc&) {
    pongs_.drop_unmarked();
  }
}

// Another server's port is most likely one of ours, too.
bool UdpEndpoint::may_be_raw_answer(const PeerAddress& peer) const {
  if (!options_.udp_raw_from_elsewhere && !peer.is_loopback()) return true;
  return peer.port() < IPPORT_RESERVED ||
         std::find(own_ports_.begin(), own_ports_.end(), peer.port()) != own_ports_.end();
}

void UdpEndpoint::take_request(const Origin& origin, const FrameView& request, FrameError error,
                               bool over_limit) {
  const ReplyTo to = {.id = request.header.id, .origin = &origin};
  if (over_limit) {
    intake_.refuse(*this, to, refusal(Status::too_large, [] {
      return fmt::format(
          "a datagram from elsewhere may have {} bytes, from this machine {}; use TCP",
          kMaxRemoteDatagramBytes, kMaxDatagramBytes);
    }));
  } else if (error != FrameError::none) {
    intake_.refuse(*this, to, refusal(Status::bad_request, explain(error)));
  } else if (request.payload.size() > options_.max_payload_bytes) {
    intake_.refuse(*this, to, refusal(Status::too_large, [&] {
      return fmt::format("the payload is {} bytes, the limit {}", request.payload.size(),
                         options_.max_payload_bytes);
    }));
  } else if (request.header.type == FrameType::ping) {
    pings_.fetch_add(1, std::memory_order_relaxed);
    add_pong(to);
  } else {
    intake_.take(*this, to, request);
  }
}

}  // namespace evpool
