// One connection and its loop, on the test's own thread and clock: what a turn is, and when a peer
// has stalled.
#include "server/connection.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "server/builtin_jobs.h"
#include "server/socket.h"
#include "tests/peer.h"
#include "tests/unit/server/failing_epoll.h"
#include "tests/unit/server/running_server.h"

namespace evpool {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLargeBytes = std::size_t{12} << 20U;

std::string ping_frame(std::uint64_t id) {
  std::string frame;
  append_header({.type = FrameType::ping, .id = id}, frame);
  return frame;
}

class ConnectionTest : public testing::Test {
 protected:
  ConnectionTest()
      : listener_(std::move(bind_sockets("tcp", {"127.0.0.1", 0}, Transport::tcp).front())),
        peer_(Peer::tcp(local_address(listener_).port)) {
    options_.max_in_flight_per_connection = 1'000'000;
    Handlers handlers;
    add_builtin_jobs(handlers);
    handlers.add("hold", "waits for the test", [this](Request& request) {
      gate_.enter();
      return Reply::ok(std::move(request.payload));
    });
    handlers.add("large", "more than the kernel takes",
                 [](Request&) { return Reply::ok(std::string(kLargeBytes, 'x')); });
    dispatcher_ = std::make_unique<Dispatcher>(
        std::move(handlers),
        ThreadPoolOptions{.workers = 1, .capacity_tasks = 100'000, .thread_name = "test"}, 1h,
        [] {});
    intake_ = std::make_unique<Intake>(loop_, *dispatcher_);
    turns_ = std::make_unique<TurnQueue>(loop_);
    context_ = std::make_unique<ConnectionContext>(ConnectionContext{
        .loop = loop_,
        .intake = *intake_,
        .options = options_,
        .codec_options = {.default_job = "upper", .bodies = &intake_->spare_bodies()},
        .turns = *turns_,
        .receive_buffer = receive_buffer_,
        .on_used = [](Connection&) {},
        .on_closed = [](Connection&) {},
        .on_admission = [](Connection&) { return false; },
        .on_watch_failed = [this] { ++watches_failed_; },
        .on_ping = [this] { ++pings_; }});
  }
  ~ConnectionTest() override {
    if (connection_) connection_->close();
    intake_->submit();
    dispatcher_->stop();
    Statistics counts;
    dispatcher_->count_into(counts);
    EXPECT_EQ(counts.received, counts.completed + counts.failed + counts.expired +
                                   counts.cancelled + counts.refused);
  }

  void open(Connection::Kind kind = Connection::Kind::detect) {
    pollfd waiting = {.fd = listener_.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&waiting, 1, Peer::kDeadline_ms), 1);
    connection_ = std::make_shared<Connection>(
        *context_, Descriptor(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK)), kind);
    connection_->open();
  }

  void turn_loop_once() { event_base_loop(loop_.base(), EVLOOP_ONCE | EVLOOP_NONBLOCK); }
  // Until all that the peer has sent has been received, and everything that follows was done.
  void turn_loop() {
    for (int i = 0; i < 10'000; ++i) turn_loop_once();
  }
  template <typename Predicate>
  void turn_loop_until(Predicate holds) {
    const auto deadline = Clock::now() + 30s;
    while (!holds()) {
      ASSERT_LT(Clock::now(), deadline);
      turn_loop_once();
    }
  }

  // What close_if_stalled() says when this much more time has passed.
  bool stalled_after(std::chrono::seconds time) {
    turn_loop();
    now_ += time;
    return connection_->close_if_stalled(now_);
  }

  // REQUIRES: the peer is owed the answer of `hold`.
  void expect_reset_to_be_noticed() {
    turn_loop_until([&] { return dispatcher_->in_flight() == 1; });
    EXPECT_FALSE(stalled_after(10s));
    peer_.reset();
    EXPECT_FALSE(stalled_after(1s)) << "it did not stall";
    EXPECT_TRUE(connection_->gone());
    gate_.open();
  }

  ServerOptions options_;
  Gate gate_;
  Descriptor listener_;
  EventLoop loop_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<Intake> intake_;
  std::unique_ptr<TurnQueue> turns_;
  std::array<char, std::size_t{64} << 10U> receive_buffer_{};
  std::unique_ptr<ConnectionContext> context_;
  std::shared_ptr<Connection> connection_;
  Peer peer_;
  Clock::time_point now_ = Clock::now();
  std::size_t pings_ = 0;
  int watches_failed_ = 0;
};

// --- Turns ---------------------------------------------------------------------------------------

TEST_F(ConnectionTest, a_turn_ends_after_so_many_requests_and_the_rest_is_not_lost) {
  open();
  constexpr std::size_t kPings = 20 * TurnBudget::kMaxRequests + 10;
  std::string pings;
  for (std::size_t i = 0; i < kPings; ++i) pings += ping_frame(i);
  peer_.send(pings);
  std::size_t seen = 0;
  while (seen < kPings) {
    turn_loop_until([&] { return pings_ > seen; });
    EXPECT_LE(pings_ - seen, TurnBudget::kMaxRequests);
    seen = pings_;
  }
  for (std::size_t i = 0; i < kPings; ++i) ASSERT_EQ(peer_.receive_frame().header.id, i);
}

TEST_F(ConnectionTest, lines_of_a_flood_are_answered_each_once_and_in_order) {
  open();
  constexpr std::size_t kLines = 5'000;
  std::string lines;
  std::string expected;
  for (std::size_t i = 0; i < kLines; ++i) {
    lines += "upper line" + std::to_string(i) + "\n\n\r\n";
    expected += "LINE" + std::to_string(i) + "\n";
  }
  peer_.send(lines);
  peer_.end_output();
  turn_loop_until([&] { return connection_->gone(); });
  EXPECT_EQ(peer_.receive_to_end(), expected);
}

TEST_F(ConnectionTest, only_some_of_many_unknown_names_get_a_suggestion) {
  open();
  constexpr std::size_t kLines = 500;
  std::string lines;
  for (std::size_t i = 0; i < kLines; ++i) lines += "uper\n";
  peer_.send(lines);
  peer_.end_output();
  turn_loop_until([&] { return connection_->gone(); });
  const std::string answers = peer_.receive_to_end();
  std::size_t suggestions = 0;
  std::size_t answered = 0;
  for (std::size_t at = 0; (at = answers.find("ERR not_found no job 'uper'", at)) != answers.npos;
       ++at) {
    ++answered;
    if (answers.compare(at + 27, 16, " (did you mean '") == 0) ++suggestions;
  }
  EXPECT_EQ(answered, kLines);
  EXPECT_GT(suggestions, 0U);
  EXPECT_LT(suggestions, kLines / 2);
}

TEST_F(ConnectionTest, a_flood_leaves_the_loop_to_others_in_between) {
  open();
  std::string pings;
  for (std::size_t i = 0; i < 2 * TurnBudget::kMaxRequests; ++i) pings += ping_frame(i);
  peer_.send(pings);
  turn_loop_until([&] { return pings_ > 0; });
  // What becomes readable now is looked at before the flood goes on.
  Peer other = Peer::tcp(local_address(listener_).port);
  bool other_seen = false;
  const UniqueEvent acceptable = loop_.new_event(
      listener_.get(), EV_READ, [](int, short, void* seen) { *static_cast<bool*>(seen) = true; },
      &other_seen);
  ASSERT_TRUE(EventLoop::watch(*acceptable));
  turn_loop_until([&] { return other_seen; });
  EXPECT_LE(pings_, 2 * TurnBudget::kMaxRequests);
  turn_loop_until([&] { return pings_ == 2 * TurnBudget::kMaxRequests; });
}

TEST_F(ConnectionTest, a_drain_answers_what_a_turn_has_left) {
  open();
  constexpr std::size_t kPings = 5 * TurnBudget::kMaxRequests;
  std::string pings;
  for (std::size_t i = 0; i < kPings; ++i) pings += ping_frame(i);
  peer_.send(pings);
  turn_loop_until([&] { return pings_ > 0; });
  connection_->drain();
  for (std::size_t i = 0; i < kPings; ++i) {
    turn_loop_once();
    ASSERT_EQ(peer_.receive_frame().header.id, i);
  }
}

TEST_F(ConnectionTest, a_drain_takes_no_more_than_its_share_of_a_peer_that_goes_on_sending) {
  open();
  std::string lines;
  for (int i = 0; i < 10'000; ++i) lines += "no_such_job\n";
  connection_->drain();
  std::size_t sent_bytes = 0;
  std::array<char, 65'536> answers;
  // Whoever reads the answers could go on for ever.
  turn_loop_until([&] {
    sent_bytes += peer_.send_some(lines);
    while (peer_.receive_now(answers) > 0) {
    }
    return connection_->gone() || sent_bytes > (std::size_t{256} << 20U) ||
           connection_->is_lingering();
  });
  EXPECT_TRUE(connection_->gone() || connection_->is_lingering());
}

TEST_F(ConnectionTest, lines_beyond_those_that_may_be_in_flight_wait_and_are_not_busy) {
  options_.max_in_flight_per_connection = 8;
  open();
  std::string lines = "hold first\n";
  for (int i = 0; i < 100; ++i) lines += "upper x\n";
  peer_.send(lines);
  turn_loop_until([&] { return dispatcher_->in_flight() > 0; });
  turn_loop();
  gate_.open();
  peer_.end_output();
  turn_loop_until([&] { return connection_->gone(); });
  std::string expected = "first\n";
  for (int i = 0; i < 100; ++i) expected += "X\n";
  EXPECT_EQ(peer_.receive_to_end(), expected);
}

TEST_F(ConnectionTest, one_over_the_limit_is_closed_after_a_refused_request_too) {
  open(Connection::Kind::over_limit);
  peer_.send(" no job name\n x\n");
  turn_loop_until([&] { return connection_->is_lingering() || connection_->gone(); });
  EXPECT_TRUE(peer_.receive_line().starts_with("ERR bad_request"));
}

// --- Stalling ------------------------------------------------------------------------------------

TEST_F(ConnectionTest, every_request_completed_is_progress_though_writes_end_inside_the_next) {
  open();
  const std::string frame = request_frame(1, "upper", "hello");
  peer_.send(frame.substr(0, 10));
  for (int i = 0; i < 20; ++i) {
    peer_.send(frame.substr(10) + frame.substr(0, 10));
    EXPECT_FALSE(stalled_after(20s));
    EXPECT_EQ(peer_.receive_frame().payload, "HELLO");
  }
}

TEST_F(ConnectionTest, a_request_that_comes_byte_by_byte_has_to_be_whole_in_time) {
  open();
  const std::string frame = request_frame(1, "upper", "hello");
  EXPECT_FALSE(stalled_after(60s)) << "it has not begun one";
  peer_.send(frame.substr(0, 1));
  EXPECT_FALSE(stalled_after(1s));
  peer_.send(frame.substr(1, 1));
  EXPECT_FALSE(stalled_after(15s));
  peer_.send(frame.substr(2, 1));
  EXPECT_TRUE(stalled_after(15s));
}

TEST_F(ConnectionTest, a_large_request_may_take_long_if_64_KiB_come_in_each_stall_timeout) {
  open();
  const std::string frame = request_frame(1, "echo", std::string(1 << 20, 'x'));
  constexpr std::size_t kStep = std::size_t{70} << 10U;
  for (std::size_t at = 0; at + kStep < frame.size(); at += kStep) {
    peer_.send(frame.substr(at, kStep));
    EXPECT_FALSE(stalled_after(25s)) << at;
  }
  EXPECT_TRUE(stalled_after(30s));
}

TEST_F(ConnectionTest, a_reader_that_takes_a_large_reply_slowly_is_served) {
  open();
  peer_.send(request_frame(1, "large", ""));
  std::string taken(std::size_t{256} << 10U, '\0');
  for (int i = 0; i < 10; ++i) {
    std::size_t have = 0;
    turn_loop_until([&] {
      have += peer_.receive_now(std::span<char>(taken).subspan(have));
      return have == taken.size();
    });
    EXPECT_FALSE(stalled_after(20s)) << i;
  }
  EXPECT_FALSE(stalled_after(1s));
  EXPECT_TRUE(stalled_after(30s)) << "it has stopped reading";
}

TEST_F(ConnectionTest, a_peer_that_reads_nothing_is_closed_though_the_kernel_holds_all_of_it) {
  open();
  // Less than the kernel's buffers at both ends hold.
  peer_.send(request_frame(1, "echo", std::string(3 << 20, 'x')));
  turn_loop_until([&] { return dispatcher_->in_flight() == 0; });
  EXPECT_FALSE(stalled_after(1s));
  EXPECT_TRUE(stalled_after(30s));
}

TEST_F(ConnectionTest, a_peer_that_is_owed_an_answer_does_not_stall) {
  open();
  peer_.send(request_frame(1, "hold", "late") +
             request_frame(2, "upper", "cut short").substr(0, 9));
  turn_loop_until([&] { return dispatcher_->in_flight() == 1; });
  EXPECT_FALSE(stalled_after(36s));
  peer_.end_output();
  EXPECT_FALSE(stalled_after(36s));
  gate_.open();
  turn_loop_until([&] { return connection_->gone(); });
  EXPECT_EQ(peer_.receive_frame().payload, "late");
}

TEST_F(ConnectionTest, the_rest_of_a_request_is_due_from_the_last_answer_on) {
  open();
  peer_.send(request_frame(1, "hold", "late") +
             request_frame(2, "upper", "cut short").substr(0, 9));
  turn_loop_until([&] { return dispatcher_->in_flight() == 1; });
  EXPECT_FALSE(stalled_after(100s));
  gate_.open();
  EXPECT_EQ(peer_.receive_frame().payload, "late");
  turn_loop_until([&] { return dispatcher_->in_flight() == 0; });
  EXPECT_FALSE(stalled_after(20s));
  EXPECT_TRUE(stalled_after(30s));
}

TEST_F(ConnectionTest, a_half_closed_peer_that_vanishes_is_noticed) {
  open();
  peer_.send(request_frame(1, "hold", "for nobody"));
  peer_.end_output();
  expect_reset_to_be_noticed();
}

TEST_F(ConnectionTest, a_peer_that_vanishes_while_it_is_not_received_from_is_noticed) {
  options_.max_in_flight_per_connection = 1;
  open();
  peer_.send("hold first\nupper more\n");  // of an ordered stream no more is received now
  expect_reset_to_be_noticed();
}

// --- Idleness ------------------------------------------------------------------------------------

TEST_F(ConnectionTest, is_idle_when_it_owes_nothing_and_nothing_is_owed) {
  open();
  EXPECT_TRUE(connection_->is_idle());
  peer_.send(request_frame(1, "hold", "").substr(0, 9));
  turn_loop();
  EXPECT_FALSE(connection_->is_idle()) << "inside a request";
  peer_.send(request_frame(1, "hold", "").substr(9));
  turn_loop_until([&] { return dispatcher_->in_flight() == 1; });
  EXPECT_FALSE(connection_->is_idle()) << "in flight";
  gate_.open();
  peer_.receive_frame();
  turn_loop_until([&] { return connection_->is_idle(); });
  peer_.send("\xF6");
  EXPECT_FALSE(connection_->is_idle()) << "something has arrived";
}

// --- Errors of the loop --------------------------------------------------------------------------

TEST_F(ConnectionTest, is_closed_when_the_loop_cannot_watch_it) {
  {
    const FailingEpollCtl failing(ENOSPC);
    open();
  }
  EXPECT_TRUE(connection_->gone());
  EXPECT_EQ(watches_failed_, 1);
  EXPECT_EQ(peer_.receive_to_end(true), "");
}

TEST_F(ConnectionTest, is_closed_when_the_loop_cannot_watch_it_again) {
  options_.max_in_flight_per_connection = 1;
  open();
  peer_.send("hold first\n");
  turn_loop_until([&] { return dispatcher_->in_flight() == 1; });
  {
    const FailingEpollCtl failing(ENOMEM);
    gate_.open();
    turn_loop_until([&] { return connection_->gone(); });
  }
  EXPECT_EQ(watches_failed_, 1);
}

TEST_F(ConnectionTest, is_closed_when_the_loop_cannot_send_a_remainder) {
  open();
  const FailingEpollCtl failing(ENOMEM);
  peer_.send(request_frame(1, "large", ""));
  turn_loop_until([&] { return connection_->gone(); });
}

}  // namespace
}  // namespace evpool
