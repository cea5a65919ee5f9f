#include "bench/load/socket_set.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "bench/load/account.h"
#include "bench/load/dialect.h"
#include "bench/load/workload.h"
#include "bench/null_server.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kPayload = "payload";
// Far beyond what any step takes. No passing test waits for it.
constexpr std::chrono::milliseconds kPatience = 60s;

// Three sockets to a server, which are closed, and what they have received.
class SocketSetTest : public ::testing::Test, protected SocketSet::Receiver {
 protected:
  void serve(NullServer::Requests requests) {
    server_.emplace(requests);
    options_.timeout = kPatience;
    options_.server = server_->address();
    sockets_.emplace(options_, *dialect_, 3, random_, account_);
  }
  void serve() { serve({.name_bytes = kJob.size(), .payload_bytes = kPayload.size()}); }

  void add(std::uint32_t socket, std::uint64_t first_id, std::size_t count) {
    std::vector<OutgoingRequest> requests;
    for (std::uint64_t id = first_id; id < first_id + count; ++id) {
      requests.push_back({.id = id, .job = kJob, .payload = kPayload, .timeout_ms = 1000});
    }
    sockets_->add(socket, requests, true, SocketSet::Clock::now());
  }
  std::vector<std::uint32_t> flush_marked() {
    std::vector<std::uint32_t> flushed;
    sockets_->flush_marked(SocketSet::Clock::now(),
                           [&](std::uint32_t socket) { flushed.push_back(socket); });
    return flushed;
  }
  template <typename Condition>
  void receive_until(const Condition& condition) {
    const auto deadline = SocketSet::Clock::now() + kPatience;
    while (!condition()) {
      ASSERT_LT(SocketSet::Clock::now(), deadline);
      sockets_->wait(kPatience);
      sockets_->receive(*this);
    }
  }

  void take_replies(std::uint32_t socket, SocketSet::Clock::time_point /*received*/,
                    std::span<const IncomingReply> replies) override {
    for (const IncomingReply& reply : replies) {
      EXPECT_EQ(reply.payload, "PAYLOAD");
      received_.push_back({socket, reply.id.value()});
    }
  }
  void after_receive(std::uint32_t socket) override { received_from_.push_back(socket); }

  struct Received {
    std::uint32_t socket;
    std::uint64_t id;
    bool operator==(const Received&) const = default;
  };

  static constexpr std::string_view kJob = "upper";
  LoadOptions options_;
  const std::unique_ptr<Dialect> dialect_ = make_frame_dialect();
  Random random_ = random_for(1, 0);
  Account account_;
  std::optional<NullServer> server_;
  std::optional<SocketSet> sockets_;
  std::vector<Received> received_;
  std::vector<std::uint32_t> received_from_;
};

TEST_F(SocketSetTest, sends_on_each_socket_what_was_added_and_hands_over_its_replies) {
  serve();
  sockets_->open(0);
  sockets_->open(2);
  EXPECT_EQ(sockets_->open_count(), 2U);
  add(2, 20, 2);
  EXPECT_EQ(flush_marked(), std::vector<std::uint32_t>{2});
  receive_until([&] { return received_.size() == 2; });
  add(0, 10, 1);
  EXPECT_EQ(flush_marked(), std::vector<std::uint32_t>{0});
  receive_until([&] { return received_.size() == 3; });
  EXPECT_EQ(received_, (std::vector<Received>{{2, 20}, {2, 21}, {0, 10}}));
  EXPECT_EQ(received_from_.front(), 2U);
  EXPECT_EQ(received_from_.back(), 0U);
}

TEST_F(SocketSetTest, requests_added_one_by_one_leave_with_one_call) {
  serve();
  sockets_->open(0);
  for (std::uint64_t id = 0; id < 100; ++id) add(0, id, 1);
  EXPECT_EQ(sockets_->counts().send_calls, 0U);
  flush_marked();
  EXPECT_EQ(sockets_->counts().send_calls, 1U);
}

TEST_F(SocketSetTest, many_bytes_do_not_wait_to_be_flushed) {
  serve();
  sockets_->open(0);
  add(0, 0, SocketSet::kFlushBytes / kPayload.size());
  EXPECT_EQ(sockets_->counts().send_calls, 1U);
}

TEST_F(SocketSetTest, one_that_its_peer_closes_is_marked_as_broken) {
  serve({.name_bytes = 1, .payload_bytes = 1});  // so it closes whoever sends others
  sockets_->open(1);
  add(1, 0, 1);
  flush_marked();
  EXPECT_TRUE(sockets_->is_usable(1));
  receive_until([&] { return sockets_->any_marked(); });
  EXPECT_TRUE(sockets_->is_broken(1));
  EXPECT_FALSE(sockets_->is_usable(1));

  sockets_->close(1);
  EXPECT_FALSE(sockets_->is_broken(1));
  EXPECT_FALSE(sockets_->is_usable(1));
  EXPECT_EQ(sockets_->open_count(), 0U);
  EXPECT_EQ(flush_marked(), std::vector<std::uint32_t>{1}) << "it was marked, and is closed now";
}

TEST_F(SocketSetTest, what_a_closed_one_had_to_send_does_not_go_out_when_it_is_opened_again) {
  serve();
  sockets_->open(0);
  add(0, 1, 1);
  sockets_->close(0);
  flush_marked();
  EXPECT_EQ(sockets_->counts().send_calls, 0U);
  sockets_->open(0);
  add(0, 2, 1);
  flush_marked();
  receive_until([&] { return !received_.empty(); });
  EXPECT_EQ(received_, (std::vector<Received>{{0, 2}}));
}

TEST_F(SocketSetTest, waits_no_longer_than_it_is_told_to) {
  serve();
  sockets_->open(0);
  sockets_->wait(0ns);
  sockets_->receive(*this);
  EXPECT_TRUE(received_from_.empty());
}

}  // namespace
}  // namespace evpool::bench
