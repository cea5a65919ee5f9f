#include "server/dispatcher.h"

#include <fmt/format.h>

#include <exception>
#include <utility>

namespace evpool {
namespace {

Reply shutting_down() {
  return {.status = Status::shutting_down, .payload = "the server is shutting down"};
}

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

}  // namespace

// A request on its way, and the way back.
struct Dispatcher::Job {
  Request request;
  const Handler* handler;
  std::shared_ptr<ReplyPath> path;
  ReplyTo to;
};

// The pool's task: runs the job, or answers for it when the pool drops it.
class Dispatcher::JobTask {
 public:
  JobTask(Dispatcher& dispatcher, std::unique_ptr<Job> job)
      : dispatcher_(&dispatcher), job_(std::move(job)) {}

  void operator()() { dispatcher_->run(*job_); }
  void discard() noexcept { dispatcher_->discard(*job_); }

 private:
  Dispatcher* dispatcher_;
  std::unique_ptr<Job> job_;
};

Dispatcher::Dispatcher(Handlers handlers, const ThreadPoolOptions& pool_options,
                       std::chrono::milliseconds default_timeout, std::function<void()> on_quiet)
    : handlers_(std::move(handlers)),
      default_timeout_(default_timeout),
      on_quiet_(std::move(on_quiet)),
      pool_(ThreadPool::create(pool_options)) {}

Dispatcher::~Dispatcher() { stop(); }

void Dispatcher::dispatch(std::shared_ptr<ReplyPath> path, const ReplyTo& to, Frame&& request) {
  if (draining_.load()) {
    refuse(*path, to, shutting_down());
    return;
  }
  const Handler* const handler = handlers_.find(request.name);
  if (handler == nullptr) {
    refuse(*path, to,
           {.status = Status::not_found, .payload = handlers_.explain_missing(request.name)});
    return;
  }
  const auto timeout = request.header.timeout_ms == 0
                           ? default_timeout_
                           : std::chrono::milliseconds(request.header.timeout_ms);
  auto job = std::make_unique<Job>(Job{.request = {.job = std::move(request.name),
                                                   .payload = std::move(request.payload),
                                                   .priority = request.header.priority,
                                                   .deadline = Clock::now() + timeout,
                                                   .stop = stop_.get_token()},
                                       .handler = handler,
                                       .path = std::move(path),
                                       .to = to});
  received_.fetch_add(1, std::memory_order_relaxed);
  in_flight_.fetch_add(1);
  // The pool leaves a task that it refuses here, and with it the job that is to be answered for.
  const TaskPriority priority = task_priority(job->request.priority);
  Task task(JobTask(*this, std::move(job)));
  const AddResult added = pool_->try_add(std::move(task), priority);
  if (added != AddResult::added) task.discard();  // NOLINT(bugprone-use-after-move): it was not
}

void Dispatcher::refuse(ReplyPath& path, const ReplyTo& to, Reply reply) {
  received_.fetch_add(1, std::memory_order_relaxed);
  answer(path, to, std::move(reply));
}

void Dispatcher::begin_drain() { draining_.store(true); }

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

void Dispatcher::run(Job& job) noexcept {
  if (job.path->gone()) {
    finish(job, {.status = Status::cancelled, .payload = "the peer has gone"});
  } else if (Clock::now() >= job.request.deadline) {
    finish(job, {.status = Status::expired,
                 .payload = "the deadline passed before the job could start"});
  } else {
    finish(job, call_handler(job));
  }
}

void Dispatcher::discard(Job& job) noexcept {
  finish(job, draining_.load()
                  ? shutting_down()
                  : Reply{.status = Status::busy, .payload = "the server's queue is full"});
}

Reply Dispatcher::call_handler(Job& job) noexcept {
  try {
    return (*job.handler)(job.request);
  } catch (const std::exception& error) {
    return Reply::failed(error.what());
  } catch (...) {
    return Reply::failed("the handler threw something that is no std::exception");
  }
}

void Dispatcher::finish(Job& job, Reply reply) noexcept {
  answer(*job.path, job.to, std::move(reply));
  // With draining_, in one order for all threads: either begin_drain's caller sees no request in
  // flight, or the last request sees the drain.
  if (in_flight_.fetch_sub(1) == 1 && draining_.load()) on_quiet_();
}

void Dispatcher::answer(ReplyPath& path, const ReplyTo& to, Reply reply) {
  path.fit(to, reply);
  // Counted before it is sent: whoever has the answer finds it counted.
  count(reply.status);
  if (!path.send(to, std::move(reply))) undelivered_.fetch_add(1, std::memory_order_relaxed);
}

void Dispatcher::count(Status status) {
  std::atomic<std::uint64_t>* counter = &refused_;
  switch (status) {
    case Status::ok:
      counter = &completed_;
      break;
    case Status::failed:
      counter = &failed_;
      break;
    case Status::expired:
      counter = &expired_;
      break;
    case Status::cancelled:
      counter = &cancelled_;
      break;
    case Status::busy:
    case Status::not_found:
    case Status::too_large:
    case Status::bad_request:
    case Status::shutting_down:
      break;
  }
  counter->fetch_add(1, std::memory_order_relaxed);
}

}  // namespace evpool
