// Sending and receiving datagrams in batches, and with the kernel's segmentation offload
// (UDP_SEGMENT, UDP_GRO: man 7 udp), where there is one. For one thread each.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace evpool::bench {

// Datagrams in one packet of segmentation offload: the kernel's UDP_MAX_SEGMENTS, in its oldest
// form.
inline constexpr std::size_t kMostSegments = 64;

// Asks for what receiving needs: a large buffer, the count of what had no room in it, and, where
// wanted, UDP_GRO. Returns whether this kernel can offload.
bool prepare_datagram_socket(int descriptor, bool offload);

// Datagrams that wait to be sent on one connected socket.
class DatagramQueue {
 public:
  void add(std::string_view datagram);
  [[nodiscard]] bool empty() const { return next_ == sizes_.size(); }

  struct Flushed {
    std::uint64_t calls = 0;
    bool offloaded = false;  // several datagrams went out as one
    bool refused = false;    // the kernel told that nobody listens there
  };
  // Sends what the kernel takes. Clears `offload` when it turns out that the device cannot. Throws
  // std::runtime_error.
  Flushed flush(int descriptor, bool& offload);

 private:
  struct Group {
    std::size_t datagrams = 0;
    std::size_t bytes = 0;
  };
  [[nodiscard]] Group group_from(std::size_t first, bool offload) const;
  void forget(std::size_t datagrams, std::size_t bytes);

  std::string bytes_;
  std::vector<std::uint32_t> sizes_;
  std::size_t next_ = 0;        // the first in sizes_ that is unsent
  std::size_t next_bytes_ = 0;  // its place in bytes_
};

// Receives from any number of sockets, one after the other.
class DatagramReceiver {
 public:
  DatagramReceiver();

  struct Received {
    std::size_t messages = 0;  // 0: there are none now
    bool offloaded = false;    // one of them held several datagrams
    bool refused = false;
    std::uint32_t drops = 0;  // of this socket, ever; 0 also when the kernel did not say
  };
  // Calls `take` with each datagram. Throws std::runtime_error.
  Received receive(int descriptor, const std::function<void(std::string_view)>& take);

 private:
  static constexpr std::size_t kMessages = 64;
  static constexpr std::size_t kBufferBytes = std::size_t{64} << 10U;
  static constexpr std::size_t kControlBytes = 128;

  std::unique_ptr<char[]> buffers_;  // touched only as far as datagrams reach
  std::array<iovec, kMessages> vectors_{};
  std::array<std::array<char, kControlBytes>, kMessages> controls_{};
  std::array<mmsghdr, kMessages> messages_{};
};

}  // namespace evpool::bench
