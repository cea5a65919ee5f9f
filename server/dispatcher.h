// Between requests and handlers: admits requests to the pool, runs them on its workers, sees to it
// that each is answered exactly once, and counts.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>

#include "protocol/frame.h"
#include "server/handlers.h"
#include "server/reply_path.h"
#include "server/statistics.h"
#include "threadpool/thread_pool.h"

namespace evpool {

class Dispatcher {
 public:
  // Throws as ThreadPool::create does. `on_quiet` is called, on any thread, when the last request
  // of a drain has been answered; possibly more than once.
  Dispatcher(Handlers handlers, const ThreadPoolOptions& pool_options,
             std::chrono::milliseconds default_timeout, std::function<void()> on_quiet);
  // As stop().
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // The loop's thread only. Takes the request; its one answer goes to `to` on `path`, now or later.
  void dispatch(std::shared_ptr<ReplyPath> path, const ReplyTo& to, Frame&& request);
  // Counts and answers a request that never becomes a job.
  void refuse(ReplyPath& path, const ReplyTo& to, Reply reply);

  // From now on requests are answered shutting_down. The loop's thread only.
  void begin_drain();
  // Answers shutting_down to what has not started and asks what runs to stop. Does not wait.
  void abandon();

  // As abandon(), then waits for what runs. Afterwards no worker is left.
  void stop();

  // Requests admitted and not yet answered.
  [[nodiscard]] std::size_t in_flight() const { return in_flight_.load(); }

  // Adds the dispatcher's counts to `statistics`.
  void count_into(Statistics& statistics) const;

 private:
  struct Job;
  class JobTask;

  void run(Job& job) noexcept;
  void discard(Job& job) noexcept;
  void finish(Job& job, Reply reply) noexcept;
  void answer(ReplyPath& path, const ReplyTo& to, Reply reply);
  void count(Status status);
  static Reply call_handler(Job& job) noexcept;

  const Handlers handlers_;
  const std::chrono::milliseconds default_timeout_;
  const std::function<void()> on_quiet_;
  std::stop_source stop_;

  std::atomic<bool> draining_{false};
  std::atomic<std::size_t> in_flight_{0};

  // Written by one thread or many, read by any; each a count on its own.
  std::atomic<std::uint64_t> received_{0};
  std::atomic<std::uint64_t> completed_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::atomic<std::uint64_t> expired_{0};
  std::atomic<std::uint64_t> cancelled_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> undelivered_{0};

  // Last: its workers use everything above.
  const std::unique_ptr<ThreadPool> pool_;
};

}  // namespace evpool
