// A server that does the least a server can, inside the bench's own process: what is measured with
// it is the client. One thread, one epoll loop; a read's requests are answered with one write, and
// nothing is allocated for a request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "protocol/address.h"

namespace evpool::bench {

class NullServer {
 public:
  // No frames: upper-cases what it reads and writes it back.
  NullServer();

  // What is alike in all requests.
  struct Requests {
    std::size_t name_bytes = 0;
    std::size_t payload_bytes = 0;
  };
  // evpool's frames, each answered with its payload upper-cased. A connection that sends any other
  // size is closed.
  explicit NullServer(Requests requests);
  // Both throw std::runtime_error when they cannot listen.

  ~NullServer();  // joins
  NullServer(const NullServer&) = delete;
  NullServer& operator=(const NullServer&) = delete;

  // A free TCP port of 127.0.0.1.
  [[nodiscard]] Address address() const { return {"127.0.0.1", port_}; }
  // Of its thread. Any thread may ask. Throws std::runtime_error when the thread had to give up.
  [[nodiscard]] double cpu_seconds();

 private:
  class Descriptor {
   public:
    Descriptor(int value, const char* failure);  // throws std::runtime_error when there is none
    ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return value_; }

   private:
    const int value_;
  };
  struct Connection {
    bool open = false;
    std::string kept;    // the beginning of a request
    std::string unsent;  // replies that the kernel did not take; nothing is read meanwhile
  };

  NullServer(std::size_t request_bytes, Requests requests);
  void listen();
  [[nodiscard]] bool watch(int operation, int socket, std::uint32_t events) const;

  void run();
  // These say false when the connection is over.
  [[nodiscard]] bool answer(int socket);
  [[nodiscard]] bool send_rest(int socket);
  // Turns the whole requests at the buffer's beginning into replies, in place. False: they are
  // none.
  [[nodiscard]] bool make_replies(std::size_t requests);
  void accept();
  void drop(int socket);

  // Constant.
  const std::size_t request_bytes_;  // 1 when there are no frames
  const std::size_t reply_bytes_;
  const std::size_t name_bytes_;
  std::string reply_header_;  // of every reply, but for its id; empty when there are no frames
  const Descriptor listener_;
  const Descriptor epoll_;
  const Descriptor stop_;  // an eventfd
  std::uint16_t port_ = 0;

  // The thread's.
  std::vector<char> buffer_;
  std::vector<Connection> connections_;  // by descriptor

  std::thread thread_;
};

}  // namespace evpool::bench
