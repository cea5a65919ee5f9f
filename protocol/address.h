// How evpool writes a place on the network, everywhere: `HOST:PORT`, an IPv6 address in brackets:
// `127.0.0.1:6666`, `[::1]:6666`, `example.net:6666`. Text only; nothing is looked up here.
// Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace evpool {

struct Address {
  std::string host;
  std::uint16_t port = 0;

  friend bool operator==(const Address&, const Address&) = default;
};

// Throws std::invalid_argument with a sentence that says what is wrong and what is expected.
[[nodiscard]] Address parse_address(std::string_view text);

[[nodiscard]] std::string to_string(const Address& address);

}  // namespace evpool
