#include "client/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/constants.h"

namespace evpool {
namespace {

constexpr std::size_t kMostInDatagram = kMaxDatagramBytes - kFrameHeaderBytes;

}  // namespace

ClientOptions client_options(const CommandOptions& options) {
  return {.udp = options.udp,
          .connect_timeout = options.timeout,
          .max_in_flight = CommandOptions::kMostInFlight,
          .max_reply_bytes = options.max_payload};
}

std::size_t longest_payload(const CommandOptions& options) {
  const std::size_t longest = options.max_payload;
  return options.udp ? std::min(longest, kMostInDatagram) : longest;
}

std::string too_large_to_send(const CommandOptions& options, const std::string& bytes) {
  if (longest_payload(options) < options.max_payload) {
    return fmt::format("a payload of {} bytes does not fit a datagram; use TCP", bytes);
  }
  return fmt::format("a payload of {} bytes is over the {} of --max-payload", bytes,
                     options.max_payload);
}

}  // namespace evpool
