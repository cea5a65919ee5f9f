// One UDP socket: receives batches of datagrams on the loop's thread, hands them to the intake as
// requests, and takes replies from any thread.
//
// Shared by the server and by every batch that owes its peers answers; the socket is closed
// when the last of them is gone.
//
// A peer's address is not proven, so off loopback no answer is longer than what it answers: the
// server is no amplifier. No frame that is an answer is ever answered. A raw answer looks like any
// payload, so what comes from where raw answers would come from is ignored: from the server's own
// ports, and from those below 1024, where echo, DNS and the like answer. Otherwise one datagram
// with a forged source would have two of them talk to each other without end.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string_view>

#include "server/datagrams.h"
#include "server/event_loop.h"
#include "server/intake.h"
#include "server/reply_path.h"
#include "server/server.h"
#include "server/socket.h"

namespace evpool {

class UdpEndpoint final : public ReplyPath {
 public:
  // `own_ports`: of the server's UDP sockets. What is given must outlive this. Throws
  // std::runtime_error.
  UdpEndpoint(EventLoop& loop, Intake& intake, const ServerOptions& options,
              std::span<const std::uint16_t> own_ports, Descriptor socket);

  // The loop's thread only. REQUIRES: owned by a shared_ptr.
  // Throws std::system_error when the loop cannot watch the socket.
  void open();
  // Has what has arrived answered, and receives no more.
  void drain();

  // Any thread.
  [[nodiscard]] bool gone() const override { return false; }
  void encode(const ReplyTo& to, Reply& reply, Replies& replies) const override;
  std::size_t send(Replies& replies) noexcept override;
  void count_into(Statistics& statistics) const;

  // The longest answer that a datagram of this length from this peer may have.
  [[nodiscard]] static std::uint32_t answer_limit_bytes(const PeerAddress& peer,
                                                        std::size_t datagram_bytes);

 private:
  void take_turn();
  // Receives one batch; false when nothing more is there.
  bool receive_batch();
  void take_datagram(const ReceivedDatagram& datagram);
  [[nodiscard]] bool may_be_raw_answer(const PeerAddress& peer) const;
  void take_request(const Origin& origin, const FrameView& request, FrameError error,
                    bool over_limit);
  void add_pong(const ReplyTo& to) noexcept;

  EventLoop& loop_;
  Intake& intake_;
  const ServerOptions& options_;
  const std::span<const std::uint16_t> own_ports_;
  const Descriptor socket_;

  // The loop's thread only.
  UniqueEvent readable_;
  DatagramReceiver receiver_;
  std::size_t taken_in_turn_ = 0;
  Replies pongs_;  // of the batch under way, not yet sent

  std::atomic<bool> offload_;
  std::atomic<std::uint64_t> ignored_{0};
  std::atomic<std::uint64_t> dropped_by_kernel_{0};
  std::atomic<std::uint64_t> pings_{0};
};

}  // namespace evpool
