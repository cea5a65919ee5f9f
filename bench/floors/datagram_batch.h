// Datagrams that are received, upper-cased in place and sent back together: what the two udp floors
// do, in one thread or in two. Used by one thread at a time.
#pragma once

#include <netinet/udp.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bench/floors/floor.h"

namespace evpool::bench {

// With `offload` the kernel hands over several datagrams of one peer and size as one buffer, and
// takes such a buffer back: UDP_GRO and UDP_SEGMENT.
inline int make_udp_socket(const FloorOptions& options) {
  const int bound = make_bound_socket(SOCK_DGRAM, options.port);
  const int buffer_bytes = 4 << 20;  // the kernel cuts it down to its own limit
  setsockopt(bound, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
  setsockopt(bound, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
  const int on = 1;
  if (options.offload && setsockopt(bound, SOL_UDP, UDP_GRO, &on, sizeof(on)) != 0) die("UDP_GRO");
  return bound;
}

// By default as large as offload makes them, else what an Ethernet frame carries, and some.
inline std::size_t datagram_bytes(const FloorOptions& options) {
  if (options.buffer_bytes > 0) return options.buffer_bytes;
  return options.offload ? 65'536 : 2'048;
}

class DatagramBatch {
 public:
  // REQUIRES: before anything else, once.
  void allocate(std::size_t bytes_each) {
    // A cache line more than each needs, so that powers of two do not all meet in one cache set.
    stride_ = bytes_each + 64;
    bytes_.resize(kDatagrams * stride_);
    for (std::size_t i = 0; i < kDatagrams; ++i) pieces_[i].iov_base = &bytes_[i * stride_];
  }
  [[nodiscard]] bool allocated() const { return !bytes_.empty(); }

  // Waits for at least one datagram.
  void receive(int socket) {
    for (std::size_t i = 0; i < kDatagrams; ++i) {
      pieces_[i].iov_len = stride_ - 64;
      headers_[i].msg_hdr = {.msg_name = &peers_[i],
                             .msg_namelen = sizeof(peers_[i]),
                             .msg_iov = &pieces_[i],
                             .msg_iovlen = 1,
                             .msg_control = controls_[i].bytes.data(),
                             .msg_controllen = controls_[i].bytes.size(),
                             .msg_flags = 0};
    }
    const int got = recvmmsg(socket, headers_.data(), kDatagrams, MSG_WAITFORONE, nullptr);
    if (got < 0 && errno != EINTR) die("recvmmsg");
    count_ = got > 0 ? static_cast<std::size_t>(got) : 0;
  }

  void upper_case_all() {
    for (std::size_t i = 0; i < count_; ++i) {
      upper_case(static_cast<char*>(pieces_[i].iov_base), headers_[i].msg_len);
    }
  }

  // Each to where it came from. One that the kernel does not take is lost.
  void send(int socket) {
    for (std::size_t i = 0; i < count_; ++i) prepare_to_send(i);
    for (std::size_t at = 0; at < count_;) {
      const auto left = static_cast<unsigned>(count_ - at);
      const int sent = sendmmsg(socket, &headers_[at], left, MSG_NOSIGNAL);
      at += sent > 0 ? static_cast<std::size_t>(sent) : 1;
    }
  }

 private:
  static constexpr std::size_t kDatagrams = 64;
  struct alignas(cmsghdr) Control {
    std::array<char, CMSG_SPACE(sizeof(int))> bytes;
  };

  void prepare_to_send(std::size_t i) {
    msghdr& header = headers_[i].msg_hdr;
    pieces_[i].iov_len = headers_[i].msg_len;
    int segment_bytes = 0;
    cmsghdr* const control = CMSG_FIRSTHDR(&header);
    if (control != nullptr && control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
      std::memcpy(&segment_bytes, CMSG_DATA(control), sizeof(segment_bytes));
    }
    header.msg_control = nullptr;
    header.msg_controllen = 0;
    if (segment_bytes <= 0 || headers_[i].msg_len <= static_cast<unsigned>(segment_bytes)) return;
    const auto segment = static_cast<std::uint16_t>(segment_bytes);
    header.msg_control = controls_[i].bytes.data();
    header.msg_controllen = CMSG_SPACE(sizeof(segment));
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(segment));
    std::memcpy(CMSG_DATA(control), &segment, sizeof(segment));
  }

  std::size_t stride_ = 0;
  std::size_t count_ = 0;
  std::vector<char> bytes_;
  std::array<mmsghdr, kDatagrams> headers_{};
  std::array<iovec, kDatagrams> pieces_{};
  std::array<sockaddr_in, kDatagrams> peers_{};
  std::array<Control, kDatagrams> controls_{};
};

}  // namespace evpool::bench
