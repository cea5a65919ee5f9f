// A job server: handlers behind UDP and TCP, served by a pool of workers.
//
//   evpool::Handlers handlers;
//   handlers.add("greet", "greets", [](evpool::Request& request) {
//     return evpool::Reply::ok("hello " + request.payload);
//   });
//   evpool::Server server({.tcp = {{"127.0.0.1", 0}}}, std::move(handlers));
//   server.run();  // until drain(); see run_until_signalled.h for a program of its own
//
// Threads: one thread constructs, calls run() once, and destroys; it becomes the first I/O thread.
// drain() and statistics() may be called from any thread while the server lives; drain() also from
// a handler. Several servers may live in one process.
//
// Failure: the constructor binds every listener and starts every thread, or throws
// std::runtime_error, std::system_error or std::invalid_argument with a whole sentence and leaves
// nothing behind.
//
// Guarantee: every request that was received is answered exactly once; an answer that the kernel
// did not take whole, because its peer has gone or does not read, is counted as undelivered.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../protocol/address.h"
#include "handlers.h"
#include "statistics.h"

namespace evpool {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

struct ServerOptions {
  // Where to listen; port 0 lets the kernel choose. A host name is looked up once, and all of its
  // addresses that this machine has are listened on.
  std::vector<Address> tcp = {};      // frames and text lines, told apart by their first byte
  std::vector<Address> tcp_raw = {};  // no framing: each chunk is a payload for default_job
  std::vector<Address> udp = {};      // frames; anything else is a payload for default_job, below

  // Whether raw datagrams from other machines are payloads, too, and not ignored. A forged one can
  // then have this server talk for ever with a service that answers anything, as another of its
  // kind does; see docs/protocol.md, "Raw".
  bool udp_raw_from_elsewhere = false;

  std::size_t workers = 0;  // 0: as many as usable_cpus() says (threadpool/usable_cpus.h)
  // Threads that receive: the one that calls run(), and this many less one of the server's own.
  // Connections and UDP peers are spread over them; the workers serve all.
  std::size_t io_threads = 1;
  std::size_t queue_tasks = 16'384;  // jobs that may wait, of each priority; one more is busy
  std::string default_job = "upper";

  int receive_buffer_bytes = 4 << 20;  // asked of the kernel for each UDP socket
  // Whether datagrams of one peer and one size may go through the kernel as one buffer.
  bool udp_offload = true;
  std::uint32_t max_payload_bytes = kDefaultMaxPayloadBytes;
  // TCP connections at a time. One more takes the place of an idle one; if none is idle, its first
  // request is answered busy and it is closed (raw: closed at once).
  std::size_t max_connections = 10'000;
  // One more is answered busy. On ordered streams (text, raw) an answer that waits for an earlier
  // one counts as in flight. At the limit the server stops reading instead of answering busy, and
  // resumes when half are answered.
  std::size_t max_in_flight_per_connection = 8'192;
  // A connection with more than this waiting to be sent, or for its turn, is not read from until it
  // has been sent.
  std::size_t max_output_bytes = 8 << 20;

  // The deadline of a request that names none.
  std::chrono::milliseconds default_timeout{60'000};
  // How long a peer may leave a request half sent, or a reply unread, without any progress.
  std::chrono::milliseconds stall_timeout{30'000};
  // How long drain() waits for what was accepted; what has not started by then is answered
  // shutting_down, what runs is asked to stop.
  std::chrono::milliseconds drain_timeout{10'000};

  // Called from any thread. Must not block or call the server. If it throws, that line is lost.
  // Empty: nothing is logged.
  std::function<void(LogLevel, std::string_view)> log = {};
};

struct Listening {
  std::string_view transport;  // "tcp", "tcp-raw" or "udp"
  Address address;             // as bound, with the port the kernel chose
};

struct DrainReport {
  // Handlers that were still running a second after they had been asked to stop. The destructor
  // waits for them; a program that must not, exits without destroying the server.
  std::size_t still_running = 0;
  Statistics statistics;
};

class Server {
 public:
  Server(ServerOptions options, Handlers handlers);
  // Stops without draining when run() has not returned by itself; waits for running handlers.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // In the order of the options: tcp, tcp_raw, udp.
  [[nodiscard]] const std::vector<Listening>& listening() const;

  // Serves until drain() has been called and has finished. Throws std::system_error when the kernel
  // refuses what an I/O thread cannot do without (epoll); the destructor then answers what is in
  // flight shutting_down.
  DrainReport run();

  // Accept nothing new, finish what was accepted; returns at once. Further calls change nothing.
  void drain();

  [[nodiscard]] Statistics statistics() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace evpool
