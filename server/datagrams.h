// Datagrams in batches: many with one system call, and where the kernel has segmentation offload
// (UDP_GRO and UDP_SEGMENT, Linux 5.0), those of one peer and one size as one buffer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "server/replies.h"
#include "server/socket.h"

namespace evpool {

struct ReceivedDatagram {
  std::string_view bytes;
  const PeerAddress& peer;
  bool truncated = false;  // it was longer than any datagram may be
};

// Used by one thread at a time.
class DatagramReceiver {
 public:
  // `socket` must outlive this.
  DatagramReceiver(const Descriptor& socket, bool offload);
  ~DatagramReceiver();
  DatagramReceiver(const DatagramReceiver&) = delete;
  DatagramReceiver& operator=(const DatagramReceiver&) = delete;

  // Receives what one system call gives, without waiting, and calls `take` with each; what it is
  // given is good for the call only. False when nothing more is there now.
  bool receive(const std::function<void(const ReceivedDatagram&)>& take);

  // What the kernel has dropped for want of receive buffer, as far as it has said.
  [[nodiscard]] std::uint32_t dropped() const { return dropped_; }

 private:
  struct Buffers;

  const Descriptor& socket_;
  const std::unique_ptr<Buffers> buffers_;
  std::uint32_t dropped_ = 0;
};

// Sends each answer as a datagram of its own, without waiting; returns how many the kernel took.
// The others are lost, as any datagram may be: a worker must not wait for a network. `offload`:
// whether to try segmentation offload; made false when the device has none. Any thread.
std::size_t send_datagrams(const Descriptor& socket, const Replies& replies,
                           std::atomic<bool>& offload);

}  // namespace evpool
