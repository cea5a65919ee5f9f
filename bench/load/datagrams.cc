#include "bench/load/datagrams.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bench/load/system.h"

namespace evpool::bench {
namespace {

constexpr std::size_t kMessagesPerCall = 64;
// One segmented send is one IP packet until the device: 65,535 less both headers.
constexpr std::size_t kMostSegmentedBytes = 65'507;

}  // namespace

bool prepare_datagram_socket(int descriptor, bool offload) {
  const int buffer_bytes = 4 << 20;
  const int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
  setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
  setsockopt(descriptor, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
  if (!offload) return false;
  const int no_segment = 0;
  return setsockopt(descriptor, SOL_UDP, UDP_GRO, &on, sizeof(on)) == 0 &&
         setsockopt(descriptor, SOL_UDP, UDP_SEGMENT, &no_segment, sizeof(no_segment)) == 0;
}

void DatagramQueue::add(std::string_view datagram) {
  bytes_ += datagram;
  sizes_.push_back(static_cast<std::uint32_t>(datagram.size()));
}

// As many as can go out as one: of the same size, but for the last, which may be smaller.
DatagramQueue::Group DatagramQueue::group_from(std::size_t first, bool offload) const {
  Group group{.datagrams = 1, .bytes = sizes_[first]};
  if (!offload || sizes_[first] == 0) return group;
  for (std::size_t i = first + 1; i < sizes_.size() && group.datagrams < kMostSegments; ++i) {
    if (sizes_[i] > sizes_[first] || sizes_[i] == 0) break;
    if (group.bytes + sizes_[i] > kMostSegmentedBytes) break;
    ++group.datagrams;
    group.bytes += sizes_[i];
    if (sizes_[i] < sizes_[first]) break;
  }
  return group;
}

void DatagramQueue::forget(std::size_t datagrams, std::size_t bytes) {
  next_ += datagrams;
  next_bytes_ += bytes;
  if (!empty()) return;
  bytes_.clear();
  sizes_.clear();
  next_ = 0;
  next_bytes_ = 0;
}

DatagramQueue::Flushed DatagramQueue::flush(int descriptor, bool& offload) {
  struct alignas(cmsghdr) SegmentControl {
    std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> bytes{};
  };
  Flushed flushed;
  std::array<mmsghdr, kMessagesPerCall> messages;
  std::array<iovec, kMessagesPerCall> vectors;
  std::array<SegmentControl, kMessagesPerCall> controls;
  std::array<Group, kMessagesPerCall> groups;
  while (!empty()) {
    std::size_t count = 0;
    std::size_t byte = next_bytes_;
    for (std::size_t at = next_; at < sizes_.size() && count < kMessagesPerCall; ++count) {
      const Group group = groups[count] = group_from(at, offload);
      vectors[count] = {.iov_base = &bytes_[byte], .iov_len = group.bytes};
      messages[count] = {};
      messages[count].msg_hdr.msg_iov = &vectors[count];
      messages[count].msg_hdr.msg_iovlen = 1;
      if (group.datagrams > 1) {
        messages[count].msg_hdr.msg_control = controls[count].bytes.data();
        messages[count].msg_hdr.msg_controllen = controls[count].bytes.size();
        cmsghdr* const control = CMSG_FIRSTHDR(&messages[count].msg_hdr);
        control->cmsg_level = SOL_UDP;
        control->cmsg_type = UDP_SEGMENT;
        control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
        const auto segment = static_cast<std::uint16_t>(sizes_[at]);
        std::memcpy(CMSG_DATA(control), &segment, sizeof(segment));
      }
      at += group.datagrams;
      byte += group.bytes;
    }
    ++flushed.calls;
    const int sent =
        sendmmsg(descriptor, messages.data(), static_cast<unsigned>(count), MSG_NOSIGNAL);
    for (int i = 0; i < sent; ++i) {
      const Group& group = groups[static_cast<std::size_t>(i)];
      flushed.offloaded |= group.datagrams > 1;
      forget(group.datagrams, group.bytes);
    }
    if (sent >= 0 || errno == EINTR) continue;
    if (errno == EAGAIN || errno == ENOBUFS) break;
    if (errno == ECONNREFUSED) {  // of an earlier datagram; this one has not been tried
      flushed.refused = true;
    } else if (groups[0].datagrams > 1) {
      offload = false;
    } else {
      throw_errno("cannot send a datagram");
    }
  }
  return flushed;
}

DatagramReceiver::DatagramReceiver() : buffers_(new char[kMessages * kBufferBytes]) {
  for (std::size_t i = 0; i < kMessages; ++i) {
    vectors_[i] = {.iov_base = &buffers_[i * kBufferBytes], .iov_len = kBufferBytes};
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_control = controls_[i].data();
  }
}

DatagramReceiver::Received DatagramReceiver::receive(
    int descriptor, const std::function<void(std::string_view)>& take) {
  Received received;
  for (mmsghdr& message : messages_) message.msg_hdr.msg_controllen = kControlBytes;
  const int messages = recvmmsg(descriptor, messages_.data(), kMessages, MSG_DONTWAIT, nullptr);
  if (messages < 0) {
    received.refused = errno == ECONNREFUSED;
    if (errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) throw_errno("cannot receive");
    return received;
  }
  received.messages = static_cast<std::size_t>(messages);
  for (std::size_t i = 0; i < received.messages; ++i) {
    std::size_t segment = messages_[i].msg_len;
    msghdr& header = messages_[i].msg_hdr;
    for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at)) {
      if (at->cmsg_level == SOL_UDP && at->cmsg_type == UDP_GRO) {
        int bytes = 0;
        std::memcpy(&bytes, CMSG_DATA(at), sizeof(bytes));
        if (bytes > 0) segment = static_cast<std::size_t>(bytes);
      } else if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SO_RXQ_OVFL) {
        std::memcpy(&received.drops, CMSG_DATA(at), sizeof(received.drops));
      }
    }
    std::string_view rest(&buffers_[i * kBufferBytes], messages_[i].msg_len);
    received.offloaded |= segment < rest.size();
    do {
      take(rest.substr(0, segment));
      rest.remove_prefix(std::min(segment, rest.size()));
    } while (!rest.empty());
  }
  return received;
}

}  // namespace evpool::bench
