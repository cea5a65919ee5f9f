// What the client's tests say about results.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <ostream>
#include <string_view>

#include "client/client.h"
#include "tests/unit/client/fake_server.h"

namespace evpool {

// How GoogleTest shows them.
inline void PrintTo(CallState state, std::ostream* out) {
  switch (state) {
    case CallState::replied:
      *out << "replied";
      return;
    case CallState::timed_out:
      *out << "timed_out";
      return;
    case CallState::connection_lost:
      *out << "connection_lost";
      return;
    case CallState::protocol_error:
      *out << "protocol_error";
      return;
  }
}
inline void PrintTo(Status status, std::ostream* out) { *out << name_of(status); }

// A call that ends within half of this has not waited for its timeout.
inline constexpr CallOptions kPatient = {.timeout = kPatience};

inline void expect_ok(const CallResult& result, std::string_view payload) {
  EXPECT_EQ(result.state, CallState::replied);
  EXPECT_EQ(result.status, Status::ok);
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.payload, payload);
}

// Whether wait() would return at once, soon.
[[nodiscard]] inline bool becomes_ready(Client& client, Client::RequestId id) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    if (client.ready(id)) return true;
  }
  return false;
}

}  // namespace evpool
