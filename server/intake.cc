#include "server/intake.h"

#include <new>
#include <span>
#include <utility>

#include "server/refusal.h"

namespace evpool {
namespace {

TaskPriority task_priority(Priority priority) {
  switch (priority) {
    case Priority::high:
      return TaskPriority::high;
    case Priority::low:
      return TaskPriority::low;
    case Priority::normal:
      break;
  }
  return TaskPriority::normal;
}

// About 50 us for those of a round together.
constexpr std::size_t kMaxComparisonsInRound = 128;

// Where the payload goes in the batch.
void keep_payload(const FrameView& request, JobBatch& batch, Job& job) {
  if (request.body != nullptr) {
    job.in_body = true;
    job.payload_at = static_cast<std::uint32_t>(batch.bodies.size());
    batch.bodies.push_back(std::move(*request.body));
  } else {
    job.payload_at = static_cast<std::uint32_t>(batch.bytes.size());
    job.payload_bytes = static_cast<std::uint32_t>(request.payload.size());
    batch.bytes.append(request.payload);
  }
}

}  // namespace

Intake::Intake(EventLoop& loop, Dispatcher& dispatcher)
    : loop_(loop),
      dispatcher_(dispatcher),
      end_of_round_(loop.new_event<&Intake::submit>(-1, 0, this)) {
  for (std::vector<Task>& tasks : tasks_) tasks.reserve(kMaxTasks);
}

void Intake::take(ReplyPath& path, const ReplyTo& to, const FrameView& request) noexcept {
  loop_.assert_in_loop_thread();
  if (dispatcher_.draining()) {
    refuse(path, to, refusal(Status::shutting_down, "the server is shutting down"));
    return;
  }
  JobKind* const kind = find(request.name);
  if (kind == nullptr) {
    refuse(path, to, refusal(Status::not_found, [&] { return explain_missing(request.name); }));
    return;
  }
  wake_at_end_of_round();
  const TaskPriority priority = task_priority(request.header.priority);
  const bool brief = kind->brief();
  // What may take long is alone: it must keep neither jobs nor answers of others waiting.
  if (open_ != nullptr && (!brief || open_->path.get() != &path || open_->priority != priority)) {
    close_batch();
  }
  const auto timeout = request.header.timeout_ms == 0
                           ? dispatcher_.default_timeout()
                           : std::chrono::milliseconds(request.header.timeout_ms);
  Job job = {.kind = kind,
             .deadline = round_began_at_ + timeout,
             .id = to.id,
             .priority = request.header.priority};
  try {
    if (open_ == nullptr) open_batch(path, priority);
    keep_payload(request, *open_, job);
    if (to.origin != nullptr) open_->origins.push_back(*to.origin);
    open_->jobs.push_back(job);
  } catch (const std::bad_alloc&) {
    // A payload that no job refers to does no harm.
    if (open_ != nullptr && open_->origins.size() > open_->jobs.size()) open_->origins.pop_back();
    refuse(path, to, refusal(Status::busy, kOutOfMemory));
    return;
  }
  if (!brief || open_->jobs.size() == JobBatch::kMaxJobs ||
      open_->bytes.size() >= JobBatch::kMaxBytes || job.in_body) {
    close_batch();
  }
}

void Intake::refuse(ReplyPath& path, const ReplyTo& to, Reply reply) noexcept {
  loop_.assert_in_loop_thread();
  wake_at_end_of_round();
  if (refused_path_.get() != &path || refusals_.count() == JobBatch::kMaxJobs) {
    begin_refusals(path);
  }
  try {
    path.encode(to, reply, refusals_);
  } catch (const std::bad_alloc&) {
    refusals_.drop_unmarked();
    begin_refusals(path);
    append_short_answer(path, to, reply, refusals_);
  }
  dispatcher_.count_refused(reply.status);
}

void Intake::submit() {
  loop_.assert_in_loop_thread();
  round_begun_ = false;
  close_batch();
  task_count_ = 0;
  for (std::size_t priority = 0; priority < tasks_.size(); ++priority) {
    std::vector<Task>& tasks = tasks_[priority];
    if (tasks.empty()) continue;
    dispatcher_.add(tasks, static_cast<TaskPriority>(priority));
    tasks.clear();
  }
  send_refusals();
}

// The name is most often that of the request before.
JobKind* Intake::find(std::string_view job) {
  if (last_found_ == nullptr || last_found_->name() != job) last_found_ = dispatcher_.find(job);
  return last_found_;
}

// A suggestion costs more than the rest of a refusal, so a round makes only a few: people who
// mistype get theirs, and a flood of unknown names costs no more than one of known ones.
std::string Intake::explain_missing(std::string_view job) {
  wake_at_end_of_round();
  const bool with_suggestion = comparisons_in_round_ < kMaxComparisonsInRound;
  if (with_suggestion) comparisons_in_round_ += dispatcher_.job_kinds();
  return dispatcher_.explain_missing(job, with_suggestion);
}

void Intake::wake_at_end_of_round() {
  if (round_begun_) return;
  round_begun_ = true;
  comparisons_in_round_ = 0;
  round_began_at_ = Clock::now();
  // Made active now, it comes after all that is active already: libevent appends.
  event_active(end_of_round_.get(), EV_TIMEOUT, 0);
}

void Intake::begin_refusals(ReplyPath& path) {
  send_refusals();
  refused_path_ = path.shared_from_this();
}

void Intake::send_refusals() {
  if (!refusals_.empty()) {
    const std::size_t answers = refusals_.count();
    dispatcher_.count_undelivered(answers - refused_path_->send(refusals_));
  }
  refused_path_.reset();
}

void Intake::open_batch(ReplyPath& path, TaskPriority priority) {
  open_ = dispatcher_.new_batch();
  open_->path = path.shared_from_this();
  open_->priority = priority;
}

void Intake::close_batch() {
  if (open_ == nullptr) return;
  auto batch = std::move(open_);
  const std::size_t admitted = dispatcher_.admit(batch->priority, batch->jobs.size());
  for (std::size_t i = admitted; i < batch->jobs.size(); ++i) {
    refuse(*batch->path, batch->reply_to(i), refusal(Status::busy, "the server's queue is full"));
  }
  batch->jobs.resize(admitted);
  if (admitted == 0) {
    dispatcher_.give_back(std::move(batch));
    return;
  }
  std::vector<Task>& tasks = tasks_[static_cast<std::size_t>(batch->priority)];
  const bool full = admitted == JobBatch::kMaxJobs;
  tasks.push_back(dispatcher_.accept(std::move(batch)));
  // A full batch is worth a hand-over of its own.
  if (++task_count_ == kMaxTasks || full) submit();
}

}  // namespace evpool
