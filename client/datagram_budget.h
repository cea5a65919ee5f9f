// How many datagrams may be under way, so that neither the server's receive buffer nor our own
// overflows: a datagram that has no room is lost without a word, and its request waits in vain.
//
// Our own buffer must hold the replies to all requests in flight, for we may not run while they
// arrive. How long they will be is not known: those received lately tell, and a reply is taken to
// be as long as its request, at least. The server's buffer is taken to be as large as ours. Half of
// each is used: the other half is for other clients, for repeated datagrams, for replies longer
// than those before, and for the quarter that the kernel gives back late.
//
// One thread.
#pragma once

#include <algorithm>
#include <cstddef>

namespace evpool {

class DatagramBudget {
 public:
  // The buffer as the kernel counts it.
  explicit DatagramBudget(std::size_t receive_buffer_bytes) : budget_(receive_buffer_bytes / 2) {}

  // Whether a request of this many bytes may be sent, besides those in flight. One alone always
  // may.
  [[nodiscard]] bool has_room(std::size_t request_bytes) const {
    return in_flight_ == 0 || (requests_cost_ + cost(request_bytes) <= budget_ &&
                               (in_flight_ + 1) * cost(longest_lately_) <= budget_);
  }

  void sent(std::size_t request_bytes) {
    ++in_flight_;
    requests_cost_ += cost(request_bytes);
  }
  // It was answered, or given up.
  void ended(std::size_t request_bytes) {
    --in_flight_;
    requests_cost_ -= cost(request_bytes);
  }
  // A reply of this many bytes was received.
  void received(std::size_t reply_bytes) {
    longest_now_ = std::max(longest_now_, reply_bytes);
    longest_lately_ = guessed_ ? reply_bytes : std::max(longest_lately_, reply_bytes);
    guessed_ = false;
    if (++replies_now_ < kRepliesRemembered) return;
    longest_lately_ = longest_now_;
    longest_now_ = 0;
    replies_now_ = 0;
  }

 private:
  // What the kernel counts for a datagram, at most: Linux 6 counted 832 for up to 128 bytes, 2,304
  // for 1,200, 66,339 for 65,507; older ones round up to powers of two.
  static constexpr std::size_t cost(std::size_t bytes) { return 2 * bytes + 1'024; }

  // The longest of these replies counts, and that of up to as many before them.
  static constexpr std::size_t kRepliesRemembered = 1'024;
  // Assumed until a reply has come: what passes any network in one piece.
  static constexpr std::size_t kFirstGuessBytes = 1'200;

  const std::size_t budget_;
  std::size_t in_flight_ = 0;
  std::size_t requests_cost_ = 0;
  std::size_t longest_lately_ = kFirstGuessBytes;
  std::size_t longest_now_ = 0;  // of the replies_now_ last ones
  std::size_t replies_now_ = 0;
  bool guessed_ = true;
};

}  // namespace evpool
