// A server whose allocations fail, one in so many or all of them: it answers, or closes a
// connection that it cannot serve, and goes on when there is memory again.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "tests/peer.h"
#include "tests/unit/server/running_server.h"

namespace {

// 0: none fails. n: of the allocations of all threads but the exempt ones, each n-th fails.
std::atomic<unsigned> failing_interval{0};
std::atomic<unsigned> allocations{0};
std::atomic<unsigned> failures{0};
thread_local bool is_exempt = false;

bool is_to_fail() {
  const unsigned interval = failing_interval.load(std::memory_order_relaxed);
  if (interval == 0 || is_exempt || allocations.fetch_add(1) % interval != 0) return false;
  failures.fetch_add(1);
  return true;
}

void* allocate(std::size_t bytes) noexcept {
  return is_to_fail() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
}

void* allocate_or_throw(std::size_t bytes) {
  if (void* const memory = allocate(bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// Not inlined: gcc would see free() meet operator new, and warn.
[[gnu::noinline]] void* operator new(std::size_t bytes) { return allocate_or_throw(bytes); }
[[gnu::noinline]] void* operator new[](std::size_t bytes) { return allocate_or_throw(bytes); }
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes);
}
[[gnu::noinline]] void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return allocate(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace evpool {
namespace {

// While it lives, allocations fail on all threads but the test's.
class FailingAllocations {
 public:
  explicit FailingAllocations(unsigned interval) {
    is_exempt = true;
    allocations.store(0);
    failing_interval.store(interval);
  }
  ~FailingAllocations() { failing_interval.store(0); }
  FailingAllocations(const FailingAllocations&) = delete;
  FailingAllocations& operator=(const FailingAllocations&) = delete;
};

class OutOfMemory : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override { expect_well(); }
  void TearDown() override {
    EXPECT_GT(failures.exchange(0), 0U) << "the test is void";
    expect_well();
  }

  void expect_well() {
    Peer peer = Peer::tcp(server_.tcp());
    peer.send(request_frame(1, "upper", "well"));
    EXPECT_EQ(peer.receive_frame().payload, "WELL");
  }

  RunningServer server_;
};

TEST_P(OutOfMemory, frames_of_every_size_are_answered_once_or_their_connection_is_closed) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{100}, std::size_t{5'000},
                                  std::size_t{20'000}, std::size_t{100'000}}) {
    Peer peer = Peer::tcp(server_.tcp());
    peer.send(request_frame(0, "echo", ""));
    peer.receive_frame();
    const FailingAllocations failing(GetParam());
    constexpr std::uint64_t kRequests = 40;
    for (std::uint64_t id = 1; id <= kRequests; ++id) {
      static_cast<void>(peer.try_send(
          request_frame(id, id % 5 == 0 ? "no_such_job_at_all" : "echo", std::string(bytes, 'x'))));
    }
    std::map<std::uint64_t, int> answers;
    while (answers.size() < kRequests) {
      const auto frame = peer.try_receive_frame();
      if (!frame) break;  // closed
      EXPECT_EQ(++answers[frame->header.id], 1);
      if (frame->header.status == Status::ok) {
        EXPECT_EQ(frame->payload.size(), bytes);
      }
    }
  }
}

TEST_P(OutOfMemory, lines_are_answered_in_order_or_their_connection_is_closed) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{1'000}, std::size_t{60'000}}) {
    Peer peer = Peer::tcp(server_.tcp());
    peer.send("echo first\n");
    EXPECT_EQ(peer.receive_line(), "first\n");
    const FailingAllocations failing(GetParam());
    constexpr int kLines = 40;
    for (int line = 0; line < kLines; ++line) {
      static_cast<void>(peer.try_send((line % 5 == 0 ? "no_such_job_at_all " : "echo ") +
                                      std::to_string(line) + std::string(bytes, 'x') + "\n"));
    }
    peer.end_output();
    const std::string answers = peer.receive_to_end(true);
    std::string last = "-1";
    for (std::size_t at = 0; at < answers.size(); at = answers.find('\n', at) + 1) {
      const std::string answer = answers.substr(at, 40);
      if (answers.find('\n', at) == std::string::npos) break;
      if (answer.starts_with("ERR ")) continue;
      EXPECT_GT(std::stoi(answer), std::stoi(last));
      last = std::to_string(std::stoi(answer));
    }
  }
}

TEST_P(OutOfMemory, raw_chunks_are_answered_or_their_connection_is_closed) {
  Peer peer = Peer::tcp(server_.raw());
  peer.send("first");
  EXPECT_EQ(peer.receive_exactly(5), "FIRST");
  const FailingAllocations failing(GetParam());
  for (int chunk = 0; chunk < 40; ++chunk) {
    static_cast<void>(peer.try_send(std::string(1'000, 'x')));
  }
  peer.end_output();
  const std::string answers = peer.receive_to_end(true);
  EXPECT_EQ(answers.find_first_not_of("XERR busyfailedoutofmemory"), std::string::npos) << answers;
}

TEST_P(OutOfMemory, datagrams_are_answered_once) {
  Peer peer = Peer::udp(server_.udp());
  peer.send_datagram(request_frame(0, "echo", ""));
  peer.receive_datagram();
  const FailingAllocations failing(GetParam());
  for (std::uint64_t id = 1; id <= 100; ++id) {
    peer.send_datagram(
        request_frame(id, id % 5 == 0 ? "no_such_job_at_all" : "echo", std::string(id * 10, 'x')));
    Frame frame;
    ASSERT_EQ(decode_datagram(peer.receive_datagram(), frame), FrameError::none);
    EXPECT_EQ(frame.header.id, id);
  }
  peer.send_datagram("raw bytes of more than fifteen letters");
  EXPECT_FALSE(peer.receive_datagram().empty());
}

TEST_P(OutOfMemory, connections_that_cannot_be_taken_are_closed_and_counted) {
  const FailingAllocations failing(GetParam());
  for (int i = 0; i < 20; ++i) {
    Peer peer = Peer::tcp(server_.tcp());
    static_cast<void>(peer.try_send("upper x\n"));
    peer.end_output();
    const std::string answer = peer.receive_to_end(true);
    EXPECT_TRUE(answer.empty() || answer == "X\n" || answer.starts_with("ERR ")) << answer;
  }
}

INSTANTIATE_TEST_SUITE_P(one_in, OutOfMemory, testing::Values(1U, 2U, 3U, 5U, 7U, 13U),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace evpool
