// From requests to answers without sockets: what becomes a batch, and that each is answered once.
#include "server/intake.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "server/builtin_jobs.h"
#include "tests/unit/server/running_server.h"

namespace evpool {
namespace {

// A peer in memory: remembers what was sent to it, and with how many calls.
class RecordedPath final : public ReplyPath {
 public:
  struct Answer {
    Status status;
    std::string payload;
  };

  [[nodiscard]] bool gone() const override { return is_gone; }

  void encode(const ReplyTo& to, Reply& reply, Replies& replies) const noexcept override {
    replies.bytes += reply.payload;
    replies.mark(to.id);
    const std::lock_guard lock(mutex_);
    encoded_[to.id].push_back({reply.status, reply.payload});
  }

  std::size_t send(Replies& replies) noexcept override {
    const std::lock_guard lock(mutex_);
    sends_.push_back(replies.count());
    answered_ += replies.count();
    replies.clear();
    changed_.notify_all();
    return sends_.back();
  }

  void wait_for(std::size_t answers) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(60), [&] { return answered_ >= answers; }))
        << answered_ << " of " << answers;
  }
  // How many answers each call of send() had, in order.
  std::vector<std::size_t> sends() {
    const std::lock_guard lock(mutex_);
    return sends_;
  }
  // The one answer to a request.
  Answer answer(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(encoded_[id].size(), 1U) << id;
    return encoded_[id].empty() ? Answer{} : encoded_[id].front();
  }
  std::map<Status, std::size_t> statuses() {
    const std::lock_guard lock(mutex_);
    std::map<Status, std::size_t> counts;
    for (const auto& [id, answers] : encoded_) {
      EXPECT_EQ(answers.size(), 1U) << id;
      for (const Answer& answer : answers) ++counts[answer.status];
    }
    return counts;
  }

  std::atomic<bool> is_gone = false;

 private:
  mutable std::mutex mutex_;
  mutable std::map<std::uint64_t, std::vector<Answer>> encoded_;
  std::condition_variable changed_;
  std::vector<std::size_t> sends_;
  std::size_t answered_ = 0;
};

class IntakeTest : public testing::Test {
 protected:
  static constexpr std::size_t kQueue = 300;

  // No hold ends because the machine is busy, unless a test asks for what happens then.
  static constexpr std::chrono::hours kLongHold{1};

  explicit IntakeTest(std::size_t workers = 1, std::chrono::microseconds longest_hold = kLongHold)
      : workers_(workers), longest_hold_(longest_hold) {}
  ~IntakeTest() override {
    intake_->submit();
    dispatcher_->stop();
    const Statistics counts = statistics();
    EXPECT_EQ(counts.received, counts.completed + counts.failed + counts.expired +
                                   counts.cancelled + counts.refused);
    EXPECT_EQ(dispatcher_->in_flight(), 0U);
  }

  void SetUp() override {
    Handlers handlers;
    add_builtin_jobs(handlers);
    handlers.add("hold", "waits for the test", [this](Request& request) {
      gate_.enter();
      return Reply::ok(std::move(request.payload));
    });
    handlers.add("throw", "throws", [](Request&) -> Reply { throw std::runtime_error("thrown"); });
    handlers.add("new", "allocates its reply",
                 [](Request& request) { return Reply::ok(request.job + ":" + request.payload); });
    dispatcher_ = std::make_unique<Dispatcher>(
        std::move(handlers),
        ThreadPoolOptions{.workers = workers_, .capacity_tasks = kQueue, .thread_name = "test"},
        std::chrono::milliseconds(60'000), [] {}, longest_hold_);
    intake_ = std::make_unique<Intake>(loop_, *dispatcher_);
  }

  void take(RecordedPath& path, std::uint64_t id, std::string_view job, std::string_view payload,
            Priority priority = Priority::normal, std::uint32_t timeout_ms = 0) {
    intake_->take(path, {.id = id},
                  {.header = {.priority = priority, .id = id, .timeout_ms = timeout_ms},
                   .name = job,
                   .payload = payload});
  }

  // As if the job had been seen to take so long, often.
  void make_known(std::string_view job, std::chrono::nanoseconds each) {
    dispatcher_->find(job)->count_runs(1'000'000, each * 1'000'000);
  }
  void make_brief(std::string_view job) { make_known(job, std::chrono::nanoseconds(1)); }

  Statistics statistics() const {
    Statistics counts;
    dispatcher_->count_into(counts);
    return counts;
  }

  const std::size_t workers_;
  const std::chrono::microseconds longest_hold_;
  Gate gate_;
  EventLoop loop_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<Intake> intake_;
  std::shared_ptr<RecordedPath> path_ = std::make_shared<RecordedPath>();
  std::shared_ptr<RecordedPath> other_path_ = std::make_shared<RecordedPath>();
};

using Sends = std::vector<std::size_t>;

TEST_F(IntakeTest, brief_requests_of_one_path_are_answered_together) {
  make_brief("upper");
  for (std::uint64_t id = 0; id < 20; ++id) take(*path_, id, "upper", "p" + std::to_string(id));
  intake_->submit();
  path_->wait_for(20);
  EXPECT_EQ(path_->sends(), Sends{20});
  for (std::uint64_t id = 0; id < 20; ++id) {
    EXPECT_EQ(path_->answer(id).payload, "P" + std::to_string(id));
  }
}

TEST_F(IntakeTest, what_is_not_known_to_be_brief_is_answered_on_its_own) {
  for (std::uint64_t id = 0; id < 5; ++id) take(*path_, id, "echo", "x");
  intake_->submit();
  path_->wait_for(5);
  EXPECT_EQ(path_->sends(), (Sends{1, 1, 1, 1, 1}));
}

TEST_F(IntakeTest, what_may_take_long_keeps_no_answer_before_it_waiting) {
  make_brief("echo");
  take(*path_, 1, "echo", "first");
  take(*path_, 2, "echo", "second");
  take(*path_, 3, "hold", "long");
  take(*path_, 4, "echo", "after");
  intake_->submit();
  gate_.wait_until_entered();
  path_->wait_for(2);
  EXPECT_EQ(path_->sends(), Sends{2});
  gate_.open();
  path_->wait_for(4);
  EXPECT_EQ(path_->sends(), (Sends{2, 1, 1}));
}

TEST_F(IntakeTest, other_paths_and_priorities_are_other_batches) {
  make_brief("echo");
  take(*path_, 1, "echo", "a");
  take(*path_, 2, "echo", "b");
  take(*other_path_, 1, "echo", "c");
  take(*path_, 3, "echo", "d");
  take(*path_, 4, "echo", "e", Priority::low);
  intake_->submit();
  path_->wait_for(4);
  other_path_->wait_for(1);
  EXPECT_EQ(path_->sends(), (Sends{2, 1, 1}));
  EXPECT_EQ(other_path_->sends(), Sends{1});
}

TEST_F(IntakeTest, a_batch_is_bounded_by_jobs_and_by_bytes) {
  make_brief("echo");
  for (std::uint64_t id = 0; id <= JobBatch::kMaxJobs; ++id) take(*path_, id, "echo", "");
  intake_->submit();
  path_->wait_for(JobBatch::kMaxJobs + 1);
  EXPECT_EQ(path_->sends(), (Sends{JobBatch::kMaxJobs, 1}));

  const std::string half(JobBatch::kMaxBytes / 2, 'x');
  for (std::uint64_t id = 0; id < 3; ++id) take(*other_path_, id, "echo", half);
  intake_->submit();
  other_path_->wait_for(3);
  EXPECT_EQ(other_path_->answer(2).payload, half);
  // The worker, too, holds no more than that back.
  std::size_t sent = 0;
  for (const std::size_t answers : other_path_->sends()) {
    EXPECT_LE(answers, 2U);
    sent += answers;
  }
  EXPECT_EQ(sent, 3U);
}

TEST_F(IntakeTest, a_payload_received_into_its_place_is_moved_not_copied) {
  std::string body(100'000, 'b');
  const char* const at = body.data();
  const char* seen = nullptr;
  Handlers handlers;
  handlers.add("where", "where its payload is", [&](Request& request) {
    seen = request.payload.data();
    return Reply::ok(std::to_string(request.payload.size()));
  });
  Dispatcher dispatcher(std::move(handlers), {}, std::chrono::milliseconds(60'000), [] {});
  Intake intake(loop_, dispatcher);
  intake.take(*path_, {.id = 1}, {.name = "where", .payload = body, .body = &body});
  intake.submit();
  path_->wait_for(1);
  EXPECT_EQ(path_->answer(1).payload, "100000");
  EXPECT_EQ(seen, at);
}

TEST_F(IntakeTest, an_exception_in_a_batch_is_a_failed_answer_of_that_job_only) {
  make_brief("new");
  make_brief("throw");
  take(*path_, 1, "new", "a");
  take(*path_, 2, "throw", "b");
  take(*path_, 3, "new", "c");
  intake_->submit();
  path_->wait_for(3);
  EXPECT_EQ(path_->sends(), Sends{3});
  EXPECT_EQ(path_->answer(1).payload, "new:a");
  EXPECT_EQ(path_->answer(2).status, Status::failed);
  EXPECT_EQ(path_->answer(2).payload, "thrown");
  EXPECT_EQ(path_->answer(3).payload, "new:c");
}

class IntakeOfShortHoldTest : public IntakeTest {
 protected:
  // Microseconds in which the kernel's tick comes at least twice (CONFIG_HZ is 100 or more).
  static constexpr std::string_view kTwoTicks_us = "25000";

  IntakeOfShortHoldTest() : IntakeTest(1, Dispatcher::kLongestHold) {}
};

TEST_F(IntakeOfShortHoldTest, a_job_of_a_batch_that_takes_long_lets_go_of_the_others) {
  make_brief("spin");
  make_brief("echo");
  take(*path_, 0, "spin", kTwoTicks_us);
  for (std::uint64_t id = 1; id < 12; ++id) take(*path_, id, "echo", "");
  intake_->submit();
  path_->wait_for(12);
  // What was held is sent, and the rest is a task of its own.
  EXPECT_EQ(path_->sends().front(), 1U);
  EXPECT_EQ(path_->statuses(), (std::map<Status, std::size_t>{{Status::ok, 12}}));
}

TEST_F(IntakeOfShortHoldTest, jobs_that_take_long_though_they_were_brief_do_not_wait_in_one_batch) {
  make_brief("spin");
  for (std::uint64_t id = 0; id < 3; ++id) take(*path_, id, "spin", kTwoTicks_us);
  take(*path_, 3, "spin", "0", Priority::normal, 20);  // past which the others take it
  intake_->submit();
  path_->wait_for(4);
  EXPECT_EQ(path_->sends(), (Sends{1, 1, 1, 1}));
  EXPECT_EQ(path_->answer(3).status, Status::expired);
}

TEST_F(IntakeTest, a_stop_answers_the_jobs_of_a_batch_that_has_begun) {
  make_brief("hold");
  make_brief("echo");
  take(*path_, 0, "hold", "");
  for (std::uint64_t id = 1; id <= 3; ++id) take(*path_, id, "echo", "");
  intake_->submit();
  gate_.wait_until_entered();
  dispatcher_->abandon();
  gate_.open();
  path_->wait_for(4);
  EXPECT_EQ(path_->statuses(),
            (std::map<Status, std::size_t>{{Status::ok, 1}, {Status::shutting_down, 3}}));
}

TEST_F(IntakeTest, a_job_that_was_seen_to_take_long_is_not_brief_any_more) {
  make_brief("spin");
  for (std::uint64_t id = 0; id < 3; ++id) take(*path_, id, "spin", "20000");
  intake_->submit();
  path_->wait_for(3);
  EXPECT_FALSE(dispatcher_->find("spin")->brief());
}

TEST_F(IntakeTest, what_did_not_run_says_nothing_of_how_long_its_job_takes) {
  make_known("hold", std::chrono::milliseconds(1));
  path_->is_gone = true;
  for (std::uint64_t id = 0; id < 2'000; ++id) {
    take(*path_, id, "hold", "");
    if (id % 100 == 0) intake_->submit();
    if (id % 100 == 0) path_->wait_for(id);
  }
  intake_->submit();
  path_->wait_for(2'000);
  EXPECT_FALSE(dispatcher_->find("hold")->brief());
}

TEST_F(IntakeTest, what_no_queue_has_room_for_is_answered_busy_and_nothing_is_lost) {
  make_brief("echo");
  take(*path_, 0, "hold", "");
  intake_->submit();
  gate_.wait_until_entered();
  for (std::uint64_t id = 1; id <= kQueue + 5; ++id) take(*path_, id, "echo", "x");
  intake_->submit();
  path_->wait_for(5);
  EXPECT_EQ(path_->answer(kQueue + 1).status, Status::busy);
  EXPECT_EQ(path_->answer(kQueue + 1).payload, "the server's queue is full");
  EXPECT_EQ(path_->sends(), Sends{5}) << "refusals of one path are sent together";
  // Each priority has a queue of its own.
  take(*path_, 1000, "echo", "y", Priority::high);
  gate_.open();
  intake_->submit();
  path_->wait_for(kQueue + 7);
  EXPECT_EQ(path_->statuses(),
            (std::map<Status, std::size_t>{{Status::ok, kQueue + 2}, {Status::busy, 5}}));
  // And there is room again.
  take(*path_, 2000, "echo", "z");
  intake_->submit();
  path_->wait_for(kQueue + 8);
  EXPECT_EQ(path_->answer(2000).status, Status::ok);
}

TEST_F(IntakeTest, what_is_refused_says_why) {
  take(*path_, 1, "uper", "");
  intake_->refuse(*path_, {.id = 2}, {.status = Status::bad_request, .payload = "nonsense"});
  dispatcher_->begin_drain();
  take(*path_, 3, "upper", "");
  intake_->submit();
  EXPECT_EQ(path_->sends(), Sends{3});
  EXPECT_EQ(path_->answer(1).status, Status::not_found);
  EXPECT_EQ(path_->answer(1).payload, "no job 'uper' (did you mean 'upper'?)");
  EXPECT_EQ(path_->answer(2).status, Status::bad_request);
  EXPECT_EQ(path_->answer(3).status, Status::shutting_down);
  EXPECT_EQ(statistics().refused, 3U);
}

TEST_F(IntakeTest, a_deadline_is_kept_for_each_job_of_a_batch) {
  make_brief("echo");
  take(*path_, 0, "hold", "");
  intake_->submit();
  gate_.wait_until_entered();
  take(*path_, 1, "echo", "", Priority::normal, 1);
  take(*path_, 2, "echo", "", Priority::normal, 60'000);
  intake_->submit();
  const auto passed = Clock::now() + std::chrono::milliseconds(2);
  while (Clock::now() < passed) std::this_thread::yield();
  gate_.open();
  path_->wait_for(3);
  EXPECT_EQ(path_->answer(1).status, Status::expired);
  EXPECT_EQ(path_->answer(2).status, Status::ok);
}

TEST_F(IntakeTest, nothing_runs_for_a_peer_that_has_gone) {
  make_brief("echo");
  take(*path_, 0, "hold", "");
  intake_->submit();
  gate_.wait_until_entered();
  for (std::uint64_t id = 1; id <= 3; ++id) take(*path_, id, "echo", "");
  intake_->submit();
  path_->is_gone = true;
  gate_.open();
  path_->wait_for(4);
  EXPECT_EQ(path_->statuses(),
            (std::map<Status, std::size_t>{{Status::ok, 1}, {Status::cancelled, 3}}));
}

TEST_F(IntakeTest, a_stop_answers_what_has_not_started) {
  make_brief("echo");
  take(*path_, 0, "hold", "");
  intake_->submit();
  gate_.wait_until_entered();
  for (std::uint64_t id = 1; id <= 3; ++id) take(*path_, id, "echo", "");
  take(*path_, 4, "hold", "");
  intake_->submit();
  dispatcher_->abandon();
  path_->wait_for(4);
  take(*path_, 5, "echo", "");
  gate_.open();
  intake_->submit();
  path_->wait_for(6);
  EXPECT_EQ(path_->statuses(),
            (std::map<Status, std::size_t>{{Status::ok, 1}, {Status::shutting_down, 5}}));
}

TEST_F(IntakeTest, a_round_of_the_loop_hands_over_by_itself) {
  take(*path_, 1, "echo", "x");
  event_base_loop(loop_.base(), EVLOOP_NONBLOCK);
  path_->wait_for(1);
  EXPECT_EQ(path_->answer(1).payload, "x");
}

// Many batches of both kinds, of several paths, on more than one worker.
class IntakeOfTwoWorkersTest : public IntakeTest {
 protected:
  IntakeOfTwoWorkersTest() : IntakeTest(2, Dispatcher::kLongestHold) {}
};

TEST_F(IntakeOfTwoWorkersTest, every_request_is_answered_once_whatever_is_brief) {
  constexpr std::uint64_t kRequests = 20'000;
  for (std::uint64_t id = 0; id < kRequests; ++id) {
    // Now brief, now not; with a long one now and then.
    if (id % 512 == 0) make_known("new", std::chrono::microseconds(id % 1024 == 0 ? 100 : 0));
    if (id % 512 == 0) make_brief("spin");
    const bool spin = id % 199 == 0;
    take(id % 7 == 0 ? *other_path_ : *path_, id, spin ? "spin" : "new", spin ? "60" : "x",
         id % 11 == 0 ? Priority::high : Priority::normal);
    if (id % 150 == 0) intake_->submit();
  }
  intake_->submit();
  path_->wait_for(kRequests - (kRequests + 6) / 7);
  other_path_->wait_for((kRequests + 6) / 7);
  auto statuses = path_->statuses();
  for (const auto& [status, answers] : other_path_->statuses()) statuses[status] += answers;
  EXPECT_EQ(statuses[Status::ok] + statuses[Status::busy], kRequests);
  EXPECT_EQ(statistics().received, kRequests);
  EXPECT_EQ(statistics().completed, statuses[Status::ok]);
}

}  // namespace
}  // namespace evpool
