// The sockets of one thread of the load generator, on one epoll descriptor: what they have yet to
// send, and what cuts their replies out of what they receive. When a request is sent, and what came
// of it, is its user's business (LoadThread). One thread.
#pragma once

#include <sys/epoll.h>
#include <time.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bench/load/account.h"
#include "bench/load/datagrams.h"
#include "bench/load/dialect.h"
#include "bench/load/impaired_queue.h"
#include "bench/load/load_options.h"
#include "bench/load/send_buffer.h"
#include "bench/load/workload.h"
#include "client/transport.h"

namespace evpool::bench {

class SocketSet {
 public:
  using Clock = std::chrono::steady_clock;

  // Who is told of replies. It may add requests, and flush; not close.
  class Receiver {
   public:
    virtual void take_replies(std::uint32_t socket, Clock::time_point received,
                              std::span<const IncomingReply> replies) = 0;
    // After the replies of each receive call.
    virtual void after_receive(std::uint32_t socket) = 0;

   protected:
    ~Receiver() = default;
  };

  // Requests that wait, of so many bytes, are sent without waiting for more.
  static constexpr std::size_t kFlushBytes = std::size_t{64} << 10U;

  // `count` closed ones, known by their numbers from 0 on. What is done to datagrams on purpose
  // takes its chances from `random`, and counts in `account`, as malformed ones do; these two, the
  // options and the dialect must outlive the set.
  SocketSet(const LoadOptions& options, const Dialect& dialect, std::size_t count, Random& random,
            Account& account);
  ~SocketSet();
  SocketSet(const SocketSet&) = delete;
  SocketSet& operator=(const SocketSet&) = delete;

  // Throws ConnectError or std::runtime_error; then it is closed as before.
  void open(std::uint32_t socket);
  void close(std::uint32_t socket);
  // Neither closed nor broken.
  [[nodiscard]] bool is_usable(std::uint32_t socket) const {
    return sockets_[socket].client != nullptr && !sockets_[socket].broken;
  }
  // The peer has closed it, or an error has. It is marked, and to be closed.
  [[nodiscard]] bool is_broken(std::uint32_t socket) const { return sockets_[socket].broken; }
  [[nodiscard]] std::size_t open_count() const { return open_count_; }

  // Requests that go out with the next flush. Marks the socket. REQUIRES: it is usable.
  void add(std::uint32_t socket, std::span<const OutgoingRequest> requests, bool measured,
           Clock::time_point now);
  // Has flush_marked come to it.
  void mark(std::uint32_t socket);
  [[nodiscard]] bool any_marked() const { return !marked_.empty(); }
  // Flushes those that are marked, and calls `after` with each of them, which may mark others,
  // close and open.
  template <typename After>
  void flush_marked(Clock::time_point now, const After& after) {
    if (options_.impairment.reorder > 0) release_held(now);
    for (std::size_t i = 0; i < marked_.size(); ++i) {
      const std::uint32_t socket = marked_[i];
      sockets_[socket].marked = false;
      flush(socket);
      after(socket);
    }
    marked_.clear();
  }
  // Sends what the kernel takes now, if the socket is usable.
  void flush(std::uint32_t socket);

  // Until a socket can be read, or written where something waits for that; at most this long.
  void wait(Clock::duration longest);
  // What wait() has seen. Throws std::runtime_error when a peer does not speak the dialect.
  void receive(Receiver& receiver);

  // Since the beginning.
  struct Counts {
    std::uint64_t send_calls = 0;
    std::uint64_t receive_calls = 0;
    bool offload_used = false;
    bool refused = false;  // the kernel told that nobody listens
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }
  // Replies that had no room in the sockets' buffers, as far as the kernel has told.
  [[nodiscard]] std::uint64_t kernel_drops() const;

 private:
  struct Socket {
    std::unique_ptr<ClientSocket> client;  // nullptr: closed
    std::unique_ptr<ReplyReader> reader;   // TCP
    SendBuffer unsent;                     // TCP
    ImpairedQueue datagrams;               // UDP
    std::uint32_t kernel_drops = 0;
    bool marked = false;
    bool wants_writable = false;  // the kernel took not all
    bool broken = false;
  };

  void watch(Socket& socket, std::uint32_t number, bool writable) const;
  [[nodiscard]] int wait_for_events(const timespec& timeout);
  void release_held(Clock::time_point now);
  void flush_stream(std::uint32_t number);
  void flush_datagrams(std::uint32_t number);
  void receive_stream(std::uint32_t number, Receiver& receiver);
  void receive_datagrams(std::uint32_t number, Receiver& receiver);
  [[nodiscard]] bool is_udp() const { return options_.transport == Transport::udp; }

  const LoadOptions& options_;
  const Dialect& dialect_;
  Random& random_;
  Account& account_;
  const int epoll_;
  bool offload_;  // wanted, and not found impossible

  std::vector<Socket> sockets_;
  std::vector<std::uint32_t> marked_;
  std::size_t open_count_ = 0;
  Counts counts_;

  static constexpr int kMostReady = 64;
  std::array<epoll_event, kMostReady> ready_{};
  std::size_t ready_count_ = 0;
  bool has_pwait2_ = true;  // until the kernel says that it has not

  // Enough that calls are shared by many, few enough to stay in the first cache.
  std::array<IncomingReply, 64> replies_;

  // TCP: the memory that the sockets' requests are written into, in turn, as long as the kernel
  // takes them at once; so it stays in the cache, and idle sockets keep none.
  SendBuffer spare_;
  SendBuffer datagram_;                                  // UDP: the one being made
  std::unique_ptr<char[]> buffer_;                       // TCP: to receive into
  std::unique_ptr<DatagramReceiver> datagram_receiver_;  // UDP
};

}  // namespace evpool::bench
