// Answers that the server gives by itself. Making one never fails: without memory for its sentence,
// a refusal goes without it, because to leave a request unanswered would be worse.
#pragma once

#include <concepts>
#include <exception>
#include <string>
#include <string_view>

#include "server/request.h"

namespace evpool {

// `explain` makes the sentence. (Cold: kept out of the functions that most jobs pass.)
template <std::invocable Explain>
[[nodiscard]] [[gnu::cold]] [[gnu::noinline]] Reply refusal(Status status,
                                                            Explain explain) noexcept {
  Reply reply{.status = status, .payload = {}};
  try {
    reply.payload = explain();
  } catch (const std::exception&) {
    reply.payload.clear();
  }
  return reply;
}

[[nodiscard]] [[gnu::cold]] [[gnu::noinline]] inline Reply refusal(
    Status status, std::string_view sentence) noexcept {
  return refusal(status, [sentence] { return std::string(sentence); });
}

// Short enough to need no memory of its own.
inline constexpr std::string_view kOutOfMemory = "out of memory";

}  // namespace evpool
