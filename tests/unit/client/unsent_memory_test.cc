// What a client keeps of requests that the server is slow to take.
#include <gtest/gtest.h>

#include <string>

#include "client/client.h"
#include "tests/unit/client/allocated_bytes.h"
#include "tests/unit/client/fake_server.h"

namespace evpool {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;

TEST(Client, keeps_only_what_the_server_has_not_taken_yet) {
#ifdef EVPOOL_HAS_SANITIZER_ALLOCATOR
  GTEST_SKIP() << "the sanitizer's allocator does not say how much is allocated";
#endif
  // More than the sockets hold, so that the client always has something left to send.
  constexpr std::size_t kBehind = 16 * kMiB;
  constexpr std::size_t kRequests = 192;
  FakeServer server;
  Client client(server.address());
  server.accept();
  // While it is asked for, the client sends and receives what it can.
  const auto first = client.send("sink", "", {.timeout = kPatience});
  const std::string payload(kMiB, 'x');
  const std::size_t before = allocated_bytes();
  std::size_t outstanding = 0;
  for (std::size_t i = 0; i < kRequests; ++i) {
    static_cast<void>(client.send("sink", payload, {.timeout = std::chrono::milliseconds(1)}));
    outstanding += kFrameHeaderBytes + 4 + payload.size();
    while (outstanding > kBehind) {
      outstanding -= server.discard(outstanding - kBehind);
      static_cast<void>(client.ready(first));
    }
  }
  // Room for growth: twice what is left, and as much again while it is copied.
  EXPECT_LT(allocated_bytes() - before, 4 * kBehind);
}

}  // namespace
}  // namespace evpool
