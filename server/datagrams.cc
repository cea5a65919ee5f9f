#include "server/datagrams.h"

#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "protocol/constants.h"

namespace evpool {
namespace {

// Datagrams, or buffers of several, received by one system call.
constexpr std::size_t kBuffers = 32;
// The kernel's largest datagram, and one byte more would be truncated.
constexpr std::size_t kBufferBytes = 65'536;
// Sent by one system call.
constexpr std::size_t kMaxMessages = 64;
// The kernel's limit on the segments of one buffer (UDP_MAX_SEGMENTS until Linux 6.9).
constexpr std::size_t kMaxSegments = 64;

void switch_on(const Descriptor& socket, int level, int option) {
  const int on = 1;
  setsockopt(socket.get(), level, option, &on, sizeof(on));
}

}  // namespace

struct DatagramReceiver::Buffers {
  struct Buffer {
    std::array<char, kBufferBytes> bytes;
    PeerAddress peer;
    iovec vector;
    alignas(cmsghdr)
        std::array<char, CMSG_SPACE(sizeof(std::uint32_t)) + CMSG_SPACE(sizeof(int))> control;
  };

  std::array<Buffer, kBuffers> buffers;
  std::array<mmsghdr, kBuffers> headers;

  // The kernel overwrites lengths, so the headers that it used are made anew.
  void prepare(std::size_t used) {
    for (std::size_t i = 0; i < used; ++i) {
      Buffer& buffer = buffers[i];
      buffer.vector = {.iov_base = buffer.bytes.data(), .iov_len = buffer.bytes.size()};
      headers[i] = {};
      msghdr& header = headers[i].msg_hdr;
      header.msg_name = &buffer.peer;
      header.msg_namelen = sizeof(buffer.peer);
      header.msg_iov = &buffer.vector;
      header.msg_iovlen = 1;
      header.msg_control = buffer.control.data();
      header.msg_controllen = buffer.control.size();
    }
  }
};

DatagramReceiver::DatagramReceiver(const Descriptor& socket, bool offload)
    : socket_(socket), buffers_(std::make_unique_for_overwrite<Buffers>()) {
  switch_on(socket, SOL_SOCKET, SO_RXQ_OVFL);
  // An older kernel refuses, and then datagrams come one by one.
  if (offload) switch_on(socket, IPPROTO_UDP, UDP_GRO);
  buffers_->prepare(kBuffers);
}

DatagramReceiver::~DatagramReceiver() = default;

bool DatagramReceiver::receive(const std::function<void(const ReceivedDatagram&)>& take) {
  const int result =
      recvmmsg(socket_.get(), buffers_->headers.data(), kBuffers, MSG_DONTWAIT, nullptr);
  if (result <= 0) return false;
  const auto received = static_cast<std::size_t>(result);
  for (std::size_t i = 0; i < received; ++i) {
    msghdr& header = buffers_->headers[i].msg_hdr;
    std::size_t segment_bytes = 0;  // 0: it is one datagram
    for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
         control = CMSG_NXTHDR(&header, control)) {
      if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
        std::memcpy(&dropped_, CMSG_DATA(control), sizeof(dropped_));
      } else if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO) {
        int bytes = 0;
        std::memcpy(&bytes, CMSG_DATA(control), sizeof(bytes));
        segment_bytes = static_cast<std::size_t>(std::max(bytes, 0));
      }
    }
    std::string_view bytes(buffers_->buffers[i].bytes.data(), buffers_->headers[i].msg_len);
    const bool truncated = (header.msg_flags & MSG_TRUNC) != 0;
    do {  // once for an empty datagram, too
      const std::string_view datagram = segment_bytes == 0 ? bytes : bytes.substr(0, segment_bytes);
      bytes.remove_prefix(datagram.size());
      take({.bytes = datagram, .peer = buffers_->buffers[i].peer, .truncated = truncated});
    } while (!bytes.empty());
  }
  buffers_->prepare(received);
  return received == kBuffers;
}

namespace {

// The answers [begin, end) of `replies`, as messages for sendmmsg.
class Messages {
 public:
  Messages(const Replies& replies, bool group) : replies_(replies), group_(group) {}

  // Makes messages from answer `begin` on, as many as there is room for.
  std::span<mmsghdr> make(std::size_t begin) {
    std::size_t count = 0;
    while (count < kMaxMessages && begin < replies_.marks.size()) {
      const std::size_t end = group_ ? end_of_group(begin) : begin + 1;
      make_one(count++, begin, end);
      begin = end;
    }
    return std::span(headers_).first(count);
  }

  // How many answers a message holds.
  [[nodiscard]] std::size_t answers(std::size_t message) const { return answers_[message]; }

 private:
  [[nodiscard]] std::size_t begin_of(std::size_t answer) const {
    return answer == 0 ? 0 : replies_.marks[answer - 1].end;
  }
  [[nodiscard]] std::size_t size_of(std::size_t answer) const {
    return replies_.marks[answer].end - begin_of(answer);
  }

  // Those that follow with the same peer and size, and a last one that is shorter.
  [[nodiscard]] std::size_t end_of_group(std::size_t begin) const {
    const PeerAddress& peer = replies_.peers[begin];
    const std::size_t segment_bytes = size_of(begin);
    std::size_t end = begin + 1;
    if (segment_bytes == 0) return end;
    while (end < replies_.marks.size() && end - begin < kMaxSegments &&
           size_of(end) <= segment_bytes && size_of(end) > 0 &&
           replies_.marks[end].end - begin_of(begin) <= kMaxDatagramBytes &&
           replies_.peers[end] == peer) {
      ++end;
      if (size_of(end - 1) < segment_bytes) break;
    }
    return end;
  }

  void make_one(std::size_t at, std::size_t begin, std::size_t end) {
    answers_[at] = end - begin;
    const char* const bytes = replies_.bytes.data() + begin_of(begin);
    // sendmmsg does not write to what it sends.
    vectors_[at] = {.iov_base = const_cast<char*>(bytes),
                    .iov_len = replies_.marks[end - 1].end - begin_of(begin)};
    headers_[at] = {};
    msghdr& header = headers_[at].msg_hdr;
    const PeerAddress& peer = replies_.peers[begin];
    header.msg_name = const_cast<sockaddr*>(&peer.any);
    header.msg_namelen = peer.size();
    header.msg_iov = &vectors_[at];
    header.msg_iovlen = 1;
    if (end - begin == 1) return;
    header.msg_control = controls_[at].bytes.data();
    header.msg_controllen = controls_[at].bytes.size();
    cmsghdr* const control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    const auto segment_bytes = static_cast<std::uint16_t>(size_of(begin));
    control->cmsg_len = CMSG_LEN(sizeof(segment_bytes));
    std::memcpy(CMSG_DATA(control), &segment_bytes, sizeof(segment_bytes));
  }

  struct Control {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> bytes;
  };

  const Replies& replies_;
  const bool group_;
  std::array<mmsghdr, kMaxMessages> headers_;
  std::array<iovec, kMaxMessages> vectors_;
  std::array<Control, kMaxMessages> controls_;
  std::array<std::size_t, kMaxMessages> answers_;
};

}  // namespace

std::size_t send_datagrams(const Descriptor& socket, const Replies& replies,
                           std::atomic<bool>& offload) {
  Messages grouped(replies, true);
  Messages single(replies, false);
  std::size_t sent_answers = 0;
  std::size_t singles_until = 0;  // answers before this one go one by one
  for (std::size_t answer = 0; answer < replies.marks.size();) {
    Messages& messages = answer >= singles_until && offload.load() ? grouped : single;
    std::span<mmsghdr> made = messages.make(answer);
    if (answer < singles_until) made = made.first(std::min(made.size(), singles_until - answer));
    const int result = sendmmsg(socket.get(), made.data(), static_cast<unsigned>(made.size()),
                                MSG_NOSIGNAL | MSG_DONTWAIT);
    for (int i = 0; i < result; ++i) {
      sent_answers += messages.answers(static_cast<std::size_t>(i));
      answer += messages.answers(static_cast<std::size_t>(i));
    }
    if (result >= 0 || errno == EINTR) continue;
    // It failed for the first of them.
    if (messages.answers(0) > 1 && errno != EAGAIN && errno != EWOULDBLOCK) {
      // The device cannot segment (EIO), or not so much (its MTU): these go one by one.
      if (errno == EIO) offload.store(false);
      singles_until = answer + messages.answers(0);
    } else {
      answer += messages.answers(0);
    }
  }
  return sent_answers;
}

}  // namespace evpool
