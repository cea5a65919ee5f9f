// Ids for requests and pings that nobody guesses, and that no late answer to an earlier client of
// the same port matches. Thread-safe.
#pragma once

#include <cstdint>
#include <random>

namespace evpool {

[[nodiscard]] inline std::uint64_t random_id() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

}  // namespace evpool
