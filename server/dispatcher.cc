#include "server/dispatcher.h"

#include <algorithm>
#include <ctime>
#include <exception>
#include <new>
#include <tuple>
#include <utility>

#include "server/refusal.h"

namespace evpool {
namespace {

// Of answers kept back.
constexpr std::size_t kMostHeldBytes = std::size_t{64} << 10U;
// The clock is read once for so many jobs of a batch, which are brief: it costs as much as one. And
// at once when the kernel's tick has passed: a job was not brief this time.
constexpr std::size_t kJobsPerLook = 8;
// A reply's memory is used again for the next payload, unless it is much.
constexpr std::size_t kMaxReusedBytes = std::size_t{16} << 10U;

Reply shutting_down() { return refusal(Status::shutting_down, "the server is shutting down"); }

// The answer to a job that was taken and not run.
Reply unrun(Status why) {
  switch (why) {
    case Status::cancelled:
      return refusal(why, "the peer has gone");
    case Status::expired:
      return refusal(why, "the deadline passed before the job could start");
    default:
      return shutting_down();
  }
}

// Of the kernel's clock; it moves every 1 to 10 ms, and asking costs a fifth of asking for the
// time.
long tick() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_nsec;
}

Reply call(const Handler& handler, Request& request) noexcept {
  try {
    return handler(request);
  } catch (const std::exception& error) {
    return refusal(Status::failed, error.what());
  } catch (...) {
    return refusal(Status::failed, "the handler threw something that is no std::exception");
  }
}

}  // namespace

// The pool's task: runs a batch, or answers for it when the pool drops it. The pool does exactly
// one of the two, and so the task need not own the batch: what is only a pointer is cheaper to
// move.
class Dispatcher::BatchTask {
 public:
  BatchTask(Dispatcher& dispatcher, JobBatch& batch) : dispatcher_(&dispatcher), batch_(&batch) {}

  void operator()() { dispatcher_->run(std::unique_ptr<JobBatch>(batch_)); }
  void discard() noexcept { dispatcher_->discard(std::unique_ptr<JobBatch>(batch_)); }

 private:
  Dispatcher* dispatcher_;
  JobBatch* batch_;
};

Dispatcher::Dispatcher(Handlers handlers, const ThreadPoolOptions& pool_options,
                       std::chrono::milliseconds default_timeout, std::function<void()> on_quiet,
                       std::chrono::microseconds longest_hold)
    : handlers_(std::move(handlers)),
      capacity_jobs_(pool_options.capacity_tasks),
      default_timeout_(default_timeout),
      on_quiet_(std::move(on_quiet)),
      longest_hold_(longest_hold),
      pool_(ThreadPool::create(pool_options)) {
  handlers_.for_each([this](std::string_view name, const Handler& handler) {
    kinds_.emplace(std::piecewise_construct, std::forward_as_tuple(name),
                   std::forward_as_tuple(name, handler));
  });
}

Dispatcher::~Dispatcher() { stop(); }

JobKind* Dispatcher::find(std::string_view job) {
  const auto kind = kinds_.find(job);
  return kind == kinds_.end() ? nullptr : &kind->second;
}

std::string Dispatcher::explain_missing(std::string_view job, bool with_suggestion) const {
  return handlers_.explain_missing(job, with_suggestion);
}

std::size_t Dispatcher::admit(TaskPriority priority, std::size_t jobs) {
  const std::size_t before = waiting(priority).fetch_add(jobs);
  const std::size_t room = capacity_jobs_ > before ? capacity_jobs_ - before : 0;
  if (jobs <= room) return jobs;
  waiting(priority).fetch_sub(jobs - room);
  return room;
}

Task Dispatcher::accept(std::unique_ptr<JobBatch> batch) {
  received_.fetch_add(batch->jobs.size(), std::memory_order_relaxed);
  in_flight_.fetch_add(batch->jobs.size());
  return Task(BatchTask(*this, *batch.release()));
}

void Dispatcher::add(std::span<Task> tasks, TaskPriority priority) {
  const std::size_t added = pool_->try_add_bulk(tasks, priority).tasks;
  for (Task& refused : tasks.subspan(added)) refused.discard();
}

void Dispatcher::count_refused(Status status) {
  received_.fetch_add(1, std::memory_order_relaxed);
  counter(status).fetch_add(1, std::memory_order_relaxed);
}

void Dispatcher::count_undelivered(std::size_t answers) {
  if (answers > 0) undelivered_.fetch_add(answers, std::memory_order_relaxed);
}

bool Dispatcher::give_back_memory() {
  const auto give_back = [this] {
    spare_bodies_.clear();
    MemoryReturn::give_back();
  };
  return pool_->try_add(Task(give_back), TaskPriority::low) == AddResult::added;
}

void Dispatcher::abandon() {
  draining_.store(true);
  stop_.request_stop();
  pool_->discard_queued();
}

void Dispatcher::stop() {
  abandon();
  pool_->stop();
}

void Dispatcher::count_into(Statistics& statistics) const {
  // Outcomes first: a request that ends meanwhile must not make more outcomes than requests.
  statistics.completed += completed_.load();
  statistics.failed += failed_.load();
  statistics.expired += expired_.load();
  statistics.cancelled += cancelled_.load();
  statistics.refused += refused_.load();
  statistics.undelivered += undelivered_.load();
  statistics.received += received_.load();
}

void Dispatcher::run(std::unique_ptr<JobBatch> held) noexcept {
  JobBatch& batch = *held;
  waiting(batch.priority).fetch_sub(batch.jobs_left());
  Outcomes outcomes{};
  Clock::time_point now = Clock::now();
  Clock::time_point held_since = now;
  for (;;) {
    const std::size_t looked_at = batch.next;
    const std::size_t next_look = std::min(looked_at + kJobsPerLook, batch.jobs.size());
    const long tick_at_look = tick();
    bool all_ran = true;
    while (batch.next < next_look) {
      const Job& job = batch.jobs[batch.next];
      const Status obstacle = obstacle_to(batch, job, now);
      if (obstacle != Status::ok) all_ran = false;
      Reply reply = obstacle == Status::ok ? run_job(batch, job) : unrun(obstacle);
      answer(batch, reply, outcomes);
      // The memory of what is sent serves for the next payload.
      if (reply.payload.capacity() <= kMaxReusedBytes) {
        batch.request.payload = std::move(reply.payload);
      }
      ++batch.next;
      if (tick() != tick_at_look) break;
    }
    const Clock::time_point before = std::exchange(now, Clock::now());
    if (all_ran) count_run_times(batch, looked_at, now - before);
    if (batch.jobs_left() == 0) break;
    const bool long_held = now - held_since >= longest_hold_;
    if (!long_held && batch.replies.bytes.size() < kMostHeldBytes) continue;
    deliver(batch, outcomes);
    if (long_held && hand_back(held)) return;
    held_since = now;
  }
  deliver(batch, outcomes);
  give_back(std::move(held));
}

void Dispatcher::discard(std::unique_ptr<JobBatch> batch) noexcept {
  waiting(batch->priority).fetch_sub(batch->jobs_left());
  Outcomes outcomes{};
  for (; batch->next < batch->jobs.size(); ++batch->next) {
    Reply reply =
        draining() ? shutting_down() : refusal(Status::busy, "the server's queue is full");
    answer(*batch, reply, outcomes);
  }
  deliver(*batch, outcomes);
  give_back(std::move(batch));
}

// Why a job is not to be run any more; ok: it is.
Status Dispatcher::obstacle_to(const JobBatch& batch, const Job& job,
                               Clock::time_point now) const noexcept {
  if (stop_.stop_requested()) return Status::shutting_down;
  if (batch.path->gone()) return Status::cancelled;
  return now >= job.deadline ? Status::expired : Status::ok;
}

Reply Dispatcher::run_job(JobBatch& batch, const Job& job) noexcept {
  Request& request = batch.request;
  try {
    request.job.assign(job.kind->name());
    if (job.in_body) {
      request.payload = std::move(batch.bodies[job.payload_at]);
    } else {
      request.payload.assign(batch.bytes, job.payload_at, job.payload_bytes);
    }
  } catch (const std::bad_alloc&) {
    return refusal(Status::busy, kOutOfMemory);
  }
  request.priority = job.priority;
  request.deadline = job.deadline;
  // New in a new batch, and a handler may have moved it away.
  if (!request.stop.stop_possible()) request.stop = stop_.get_token();
  return call(job.kind->handler(), request);
}

// Appends the answer to the batch's next job. If there is no memory for it, what is gathered
// leaves, and a short answer has its place.
void Dispatcher::answer(JobBatch& batch, Reply& reply, Outcomes& outcomes) noexcept {
  try {
    batch.path->encode(batch.reply_to(batch.next), reply, batch.replies);
  } catch (const std::bad_alloc&) {
    batch.replies.drop_unmarked();
    if (!batch.replies.empty()) deliver(batch, outcomes);
    append_short_answer(*batch.path, batch.reply_to(batch.next), reply, batch.replies);
  }
  ++outcomes[static_cast<std::size_t>(reply.status)];
}

// Tells their kinds how long the jobs from `first` to the next took, which is not known of each.
void Dispatcher::count_run_times(const JobBatch& batch, std::size_t first,
                                 std::chrono::nanoseconds took) noexcept {
  const auto jobs = static_cast<std::int64_t>(batch.next - first);
  for (std::size_t i = first; i < batch.next;) {
    JobKind* const kind = batch.jobs[i].kind;
    const std::size_t begin = i;
    while (i < batch.next && batch.jobs[i].kind == kind) ++i;
    kind->count_runs(i - begin, took * static_cast<std::int64_t>(i - begin) / jobs);
  }
}

// Counts first, then sends: whoever has an answer finds it counted.
void Dispatcher::deliver(JobBatch& batch, Outcomes& outcomes) noexcept {
  for (std::size_t status = 0; status < kStatusCount; ++status) {
    if (const std::uint64_t answers = std::exchange(outcomes[status], 0); answers > 0) {
      counter(static_cast<Status>(status)).fetch_add(answers, std::memory_order_relaxed);
    }
  }
  const std::size_t answers = batch.replies.count();
  count_undelivered(answers - batch.path->send(batch.replies));
  // With draining_, in one order for all threads: either begin_drain's caller sees no request in
  // flight, or the last request sees the drain.
  if (in_flight_.fetch_sub(answers) == answers && draining_.load()) on_quiet_();
}

// Makes a task of what is left of the batch, for whichever worker is free; false when the pool has
// no room or takes nothing more.
bool Dispatcher::hand_back(std::unique_ptr<JobBatch>& batch) noexcept {
  waiting(batch->priority).fetch_add(batch->jobs_left());
  const TaskPriority priority = batch->priority;
  if (pool_->try_add(Task(BatchTask(*this, *batch)), priority) == AddResult::added) {
    static_cast<void>(batch.release());  // another worker may have it by now
    return true;
  }
  waiting(priority).fetch_sub(batch->jobs_left());
  return false;
}

std::atomic<std::uint64_t>& Dispatcher::counter(Status status) {
  switch (status) {
    case Status::ok:
      return completed_;
    case Status::failed:
      return failed_;
    case Status::expired:
      return expired_;
    case Status::cancelled:
      return cancelled_;
    case Status::busy:
    case Status::not_found:
    case Status::too_large:
    case Status::bad_request:
    case Status::shutting_down:
      break;
  }
  return refused_;
}

}  // namespace evpool
