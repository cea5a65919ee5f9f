// A client of an evpool server: one TCP connection or UDP socket, many requests in flight.
//
//   evpool::Client client({"127.0.0.1", 6666});
//   const evpool::CallResult result = client.call("upper", "hello");
//   if (result.ok()) use(result.payload);
//
// Threads: one thread at a time uses a client; network I/O happens inside its calls. Several
// threads use a client each. It has no thread of its own, but the constructor looks a host's name
// up in one, which it leaves behind when the resolver takes longer than the timeout.
//
// Failure: the constructor throws ConnectError. After that a call's outcome is a value: the
// server's reply, whatever its status, or why there is none. When the connection is lost every
// request in flight ends at once with connection_lost, and so does every later one: make a new
// client.
//
// Bounded: max_in_flight requests, a reply's size, and every call's time; replies that nobody waits
// for are kept until waited for or the client is destroyed. Over UDP fewer requests may be in
// flight: as many as the kernel's buffers surely hold.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "../protocol/address.h"
#include "../protocol/constants.h"

namespace evpool {

struct ClientOptions {
  bool udp = false;
  // For looking the name up, trying each of its addresses, and being connected.
  std::chrono::milliseconds connect_timeout{5'000};
  std::size_t max_in_flight = 1'024;
  std::uint32_t max_reply_bytes = kDefaultMaxPayloadBytes;
};

struct CallOptions {
  // How long to wait for the reply, from the call of send() on; sent along, so that the server
  // drops what comes too late.
  std::chrono::milliseconds timeout{10'000};
  Priority priority = Priority::normal;
  // May be run more than once. Over UDP such a request is sent again while no reply comes; any
  // other is sent once, for its reply may be all that was lost.
  bool idempotent = false;
};

enum class CallState : std::uint8_t {
  replied,
  timed_out,        // the job may or may not have run; it has not if there was never room for it
  connection_lost,  // likewise
  protocol_error,   // the peer is no evpool server; the connection is closed
};

struct [[nodiscard]] CallResult {
  CallState state = CallState::replied;
  Status status = Status::ok;  // when replied
  std::string payload;         // when ok the job's result, otherwise a sentence for people
  // When send() was called, and when the reply was received or the request given up.
  std::chrono::steady_clock::time_point sent_at{};
  std::chrono::steady_clock::time_point ended_at{};

  [[nodiscard]] bool ok() const { return state == CallState::replied && status == Status::ok; }
};

// The whole sentence: "cannot connect to tcp 127.0.0.1:6666: Connection refused (is evpoold
// running?)".
class ConnectError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Client {
 public:
  using RequestId = std::uint64_t;

  // Throws ConnectError, or std::bad_alloc. Over UDP there is nothing to connect to: a dead server
  // shows when the first request is waited for. Exception: if the host has several addresses, the
  // constructor pings them and uses the first that answers; it throws ConnectError when none does.
  explicit Client(const Address& server, const ClientOptions& options = {});
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // Sends and waits.
  CallResult call(std::string_view job, std::string_view payload, const CallOptions& options = {});

  // Sends, to be waited for later. Blocks only while has_room() is false or the server takes no
  // more bytes, and no longer than the timeout. Throws std::invalid_argument for a name or a
  // payload that no frame (or, over UDP, no datagram) can carry; nothing is sent then.
  [[nodiscard]] RequestId send(std::string_view job, std::string_view payload,
                               const CallOptions& options = {});

  // Whether send() of this much payload would not wait for the replies to earlier requests.
  [[nodiscard]] bool has_room(std::size_t payload_bytes) const;

  // Requests that are neither answered nor given up.
  [[nodiscard]] std::size_t in_flight() const;

  // Returns whether the request has an outcome: a reply, or a lost connection. A timeout alone does
  // not count (see ready()). Receives what has arrived.
  [[nodiscard]] bool arrived(RequestId id);

  // Whether wait(id) would return at once. Takes in what has arrived.
  [[nodiscard]] bool ready(RequestId id);

  // The outcome of a request, once. REQUIRES: `id` came from send() and was not waited for before.
  CallResult wait(RequestId id);

  // As wait(), but the timeout restarts whenever another request of this client ends, so that
  // waiting behind the client's own requests does not count.
  CallResult wait_in_turn(RequestId id);

  // Asks the server's I/O thread, past queue and workers, whether it is there.
  CallResult ping(std::chrono::milliseconds timeout);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace evpool
