// A client and its fake server, connected over TCP, and what goes between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include "client/client.h"
#include "protocol/frame.h"
#include "tests/unit/client/fake_server.h"

namespace evpool {

struct Pair {
  explicit Pair(const ClientOptions& options = {}) : client(server.address(), options) {
    server.accept();
  }

  FakeServer server;
  Client client;
};

inline std::string name_of(const FakeServer& server) {
  return "tcp " + to_string(server.address());
}

inline std::string random_bytes(std::size_t bytes) {
  std::mt19937 random(4);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

inline std::string make_pong(std::uint64_t id) {
  std::string pong;
  append_header({.type = FrameType::pong, .id = id}, pong);
  return pong;
}

}  // namespace evpool
