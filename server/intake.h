// Admission: where the requests that a loop receives become jobs, or are refused.
//
// What one round of the loop brings is handed to the pool together, with at most one wake-up, when
// the round ends: a worker that is woken finds all of it. Requests that follow one another on the
// same path become one batch, unless their handler takes long enough that each is better on its
// own. Refusals are sent together, too. Everything is bounded: a batch, and what is taken before
// it is handed over. A request for which there is no memory is answered busy.
//
// The loop's thread only.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "protocol/frame.h"
#include "server/dispatcher.h"
#include "server/event_loop.h"
#include "server/job_batch.h"
#include "server/reply_path.h"

namespace evpool {

class Intake {
 public:
  // What is given must outlive this. Throws std::runtime_error.
  Intake(EventLoop& loop, Dispatcher& dispatcher);
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  // Takes the request; its one answer goes to `to` on `path`, now or later.
  void take(ReplyPath& path, const ReplyTo& to, const FrameView& request) noexcept;
  // Counts and answers a request that never becomes a job.
  void refuse(ReplyPath& path, const ReplyTo& to, Reply reply) noexcept;

  // Counts answers that were taken to be sent, and could not be.
  void count_undelivered(std::size_t answers) { dispatcher_.count_undelivered(answers); }

  // Memory for payloads; any thread.
  [[nodiscard]] SpareBodies& spare_bodies() { return dispatcher_.spare_bodies(); }

  // Hands over what was taken and sends what was refused. Happens by itself at the end of a round.
  void submit();

 private:
  // So many tasks are not kept waiting for the end of the round.
  static constexpr std::size_t kMaxTasks = 32;

  [[nodiscard]] JobKind* find(std::string_view job);
  [[nodiscard]] std::string explain_missing(std::string_view job);
  void wake_at_end_of_round();
  void open_batch(ReplyPath& path, TaskPriority priority);
  void close_batch();
  void begin_refusals(ReplyPath& path);
  void send_refusals();

  EventLoop& loop_;
  Dispatcher& dispatcher_;
  const UniqueEvent end_of_round_;
  bool round_begun_ = false;
  std::size_t comparisons_in_round_ = 0;  // of unknown names with known ones
  Clock::time_point round_began_at_;
  JobKind* last_found_ = nullptr;

  std::unique_ptr<JobBatch> open_;          // takes more, if they are of the same path
  std::array<std::vector<Task>, 3> tasks_;  // closed batches, by priority
  std::size_t task_count_ = 0;

  std::shared_ptr<ReplyPath> refused_path_;
  Replies refusals_;
};

}  // namespace evpool
