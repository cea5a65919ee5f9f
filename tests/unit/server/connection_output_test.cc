// What a connection sends, over a pair of sockets, and what it knows of what it could not.
#include "server/connection_output.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>

#include "server/socket.h"

namespace evpool {
namespace {

constexpr std::size_t kAnswerBytes = 1000;

class ConnectionOutputTest : public testing::Test {
 protected:
  ConnectionOutputTest() {
    std::array<int, 2> pair{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
    server_ = Descriptor(pair[0]);
    peer_ = Descriptor(pair[1]);
    output_.emplace(
        loop_, server_.get(), ConnectionOutput::Bounds{.bytes = 10'000, .requests = 8}, spare_,
        [](bufferevent*, void*) {}, [](bufferevent*, short, void*) {}, nullptr);
  }

  // Sends the answers to requests `first_id` and those after it, together. How many could not be.
  std::size_t send(std::uint64_t first_id, std::size_t count, std::size_t large_bytes = 0) {
    Replies replies;
    for (std::uint64_t id = first_id; id < first_id + count; ++id) {
      output_->expect_answer();
      replies.bytes += std::string(kAnswerBytes, static_cast<char>('a' + id % 26));
      if (large_bytes > 0) replies.add_large(std::string(large_bytes, '+'));
      replies.mark(id);
    }
    std::size_t undelivered = 0;
    news_ = output_->send(replies, undelivered);
    EXPECT_TRUE(replies.empty());
    return undelivered;
  }

  // What has arrived at the peer.
  std::string receive() {
    std::string received;
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t bytes = recv(peer_.get(), buffer.data(), buffer.size(), 0);
      if (bytes <= 0) return received;
      received.append(buffer.data(), static_cast<std::size_t>(bytes));
    }
  }

  EventLoop loop_;
  SpareBodies spare_;
  Descriptor server_;
  Descriptor peer_;
  std::optional<ConnectionOutput> output_;
  bool news_ = false;
};

TEST_F(ConnectionOutputTest, what_the_socket_takes_is_sent_at_once_and_not_lost_by_a_close) {
  EXPECT_EQ(send(0, 3), 0U);
  EXPECT_EQ(receive().size(), 3 * kAnswerBytes);
  EXPECT_EQ(output_->close(), 0U);
}

TEST_F(ConnectionOutputTest, a_close_tells_exactly_which_answers_the_peer_cannot_have_whole) {
  constexpr std::size_t kAnswers = 1000;  // more than a socket takes, in batches of ten
  for (std::size_t i = 0; i < kAnswers; i += 10) EXPECT_EQ(send(i, 10), 0U);
  EXPECT_FALSE(output_->state().sent);
  const std::size_t lost = output_->close();
  EXPECT_GT(lost, 0U);
  EXPECT_EQ(receive().size() / kAnswerBytes, kAnswers - lost);
}

TEST_F(ConnectionOutputTest, large_payloads_belong_to_their_answers) {
  constexpr std::size_t kLargeBytes = 100'000;
  constexpr std::size_t kAnswers = 30;
  for (std::size_t i = 0; i < kAnswers; i += 3) EXPECT_EQ(send(i, 3, kLargeBytes), 0U);
  const std::size_t lost = output_->close();
  EXPECT_GT(lost, 0U);
  EXPECT_EQ(receive().size() / (kAnswerBytes + kLargeBytes), kAnswers - lost);
}

TEST_F(ConnectionOutputTest, what_the_loop_has_sent_is_not_lost_any_more) {
  constexpr std::size_t kAnswers = 1000;
  send(0, kAnswers);
  std::size_t received = 0;
  while (received < kAnswers * kAnswerBytes) {
    event_base_loop(loop_.base(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
    received += receive().size();
  }
  EXPECT_TRUE(output_->state().sent);
  EXPECT_EQ(output_->close(), 0U);
}

TEST_F(ConnectionOutputTest, what_a_broken_socket_does_not_take_is_undelivered) {
  peer_.close();
  EXPECT_EQ(send(0, 3), 3U);
  EXPECT_TRUE(news_) << "the connection is to be told";
  EXPECT_TRUE(output_->state().failed);
  EXPECT_EQ(send(3, 2), 2U);
  EXPECT_EQ(output_->close(), 0U) << "counted already";
}

TEST_F(ConnectionOutputTest, after_a_close_everything_is_undelivered) {
  EXPECT_EQ(output_->close(), 0U);
  EXPECT_EQ(send(0, 2), 2U);
  EXPECT_FALSE(output_->write("pong"));
  EXPECT_EQ(receive(), "");
}

TEST_F(ConnectionOutputTest, an_answer_before_its_turn_is_in_flight_until_it_leaves) {
  output_->keep_order();
  output_->expect_answer();  // to request 0, which comes last
  EXPECT_EQ(send(1, 2), 0U);
  EXPECT_FALSE(output_->state().answered);
  EXPECT_EQ(receive(), "");
  Replies first;
  first.bytes = "first";
  first.mark(0);
  std::size_t undelivered = 0;
  output_->tell_when_answered();
  EXPECT_TRUE(output_->send(first, undelivered));
  EXPECT_EQ(receive().size(), 5 + 2 * kAnswerBytes);
  EXPECT_TRUE(output_->state().answered);
  EXPECT_EQ(output_->close(), 0U);
}

TEST_F(ConnectionOutputTest, answers_before_their_turn_are_lost_by_a_close) {
  output_->keep_order();
  EXPECT_EQ(send(1, 3), 0U);
  EXPECT_EQ(output_->close(), 3U);
}

TEST_F(ConnectionOutputTest, is_full_of_bytes_that_wait_for_their_turn) {
  output_->keep_order();
  output_->expect_answer();
  for (std::uint64_t id = 1; id < 6; ++id) send(id, 1);
  EXPECT_FALSE(output_->is_full());
  output_->expect_answer();
  Replies large;
  large.bytes = std::string(6000, 'x');
  large.mark(6);
  std::size_t undelivered = 0;
  EXPECT_FALSE(output_->send(large, undelivered));
  EXPECT_TRUE(output_->is_full());
  EXPECT_FALSE(output_->state().has_room);
  Replies first;
  first.mark(0);
  EXPECT_TRUE(output_->send(first, undelivered)) << "now there is room, and somebody waits for it";
  EXPECT_TRUE(output_->state().has_room);
}

TEST_F(ConnectionOutputTest, is_full_of_requests_in_flight_only_where_order_is_kept) {
  for (int i = 0; i < 8; ++i) output_->expect_answer();
  EXPECT_FALSE(output_->is_full());
  EXPECT_TRUE(output_->state().has_room);
}

TEST_F(ConnectionOutputTest, is_full_of_requests_in_flight_until_half_of_them_are_answered) {
  output_->keep_order();
  for (int i = 0; i < 7; ++i) output_->expect_answer();
  EXPECT_FALSE(output_->is_full());
  output_->expect_answer();
  EXPECT_TRUE(output_->is_full());
  for (std::uint64_t id = 0; id < 4; ++id) {
    EXPECT_FALSE(output_->state().has_room);
    Replies reply;
    reply.mark(id);
    std::size_t undelivered = 0;
    EXPECT_EQ(output_->send(reply, undelivered), id == 3);
  }
  EXPECT_TRUE(output_->state().has_room);
}

}  // namespace
}  // namespace evpool
