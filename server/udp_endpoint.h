// One UDP socket: receives batches of datagrams on the loop's thread, hands them to the dispatcher
// as requests, and takes replies from any thread.
//
// Shared by the server and by every job that owes one of its peers an answer; the socket is closed
// when the last of them is gone.
//
// A peer's address is not proven, so off loopback no answer is longer than what it answers: the
// server is no amplifier. Nothing that looks like an answer is ever answered: two servers cannot
// talk each other to death.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "server/dispatcher.h"
#include "server/event_loop.h"
#include "server/reply_path.h"
#include "server/server.h"
#include "server/socket.h"

namespace evpool {

class UdpEndpoint final : public ReplyPath, public std::enable_shared_from_this<UdpEndpoint> {
 public:
  // What is given must outlive this. Throws std::runtime_error.
  UdpEndpoint(EventLoop& loop, Dispatcher& dispatcher, const ServerOptions& options,
              Descriptor socket);
  ~UdpEndpoint() override;

  // The loop's thread only. REQUIRES: owned by a shared_ptr.
  void open();
  // Has what has arrived answered, and receives no more.
  void drain();

  // Any thread.
  [[nodiscard]] bool gone() const override { return false; }
  void fit(const ReplyTo& to, Reply& reply) const override;
  bool send(const ReplyTo& to, Reply&& reply) noexcept override;
  void count_into(Statistics& statistics) const;

  // The longest answer that a datagram of this length from this peer may have.
  [[nodiscard]] static std::uint32_t answer_limit_bytes(const PeerAddress& peer,
                                                        std::size_t datagram_bytes);

 private:
  struct Batch;

  // Receives one batch; false when nothing was there.
  bool receive_batch();
  void take_datagram(std::string_view datagram, const PeerAddress& peer, bool truncated);
  void take_request(ReplyTo to, Frame&& request, FrameError error, bool over_limit);
  void refuse(const ReplyTo& to, Status status, std::string why);
  bool send_bytes(const ReplyTo& to, std::string_view bytes) const;

  EventLoop& loop_;
  Dispatcher& dispatcher_;
  const ServerOptions& options_;
  const Descriptor socket_;
  const std::uint16_t port_;

  // The loop's thread only.
  UniqueEvent readable_;
  std::unique_ptr<Batch> batch_;

  std::atomic<std::uint64_t> ignored_{0};
  std::atomic<std::uint64_t> dropped_by_kernel_{0};
  std::atomic<std::uint64_t> pings_{0};
};

}  // namespace evpool
