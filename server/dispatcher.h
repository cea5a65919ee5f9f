// Between requests and handlers: runs batches of jobs on the pool's workers, sees to it that each
// job is answered exactly once, and counts. What it is given comes from the loops' intakes.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "server/handlers.h"
#include "server/job_batch.h"
#include "server/job_kind.h"
#include "server/reply_path.h"
#include "server/spare_bodies.h"
#include "server/statistics.h"
#include "threadpool/thread_pool.h"

namespace evpool {

// All methods may be called from any thread.
class Dispatcher {
 public:
  // A worker keeps the answers of a batch back, so that they leave together, until it finds that
  // this has passed, which it looks for every few jobs; then it also lets other workers have the
  // rest of the batch. About what answering a short batch one by one would cost its last.
  static constexpr std::chrono::microseconds kLongestHold{50};

  // Throws as ThreadPool::create does. `on_quiet` is called, on any thread, when the last request
  // of a drain has been answered; possibly more than once.
  Dispatcher(Handlers handlers, const ThreadPoolOptions& pool_options,
             std::chrono::milliseconds default_timeout, std::function<void()> on_quiet,
             std::chrono::microseconds longest_hold = kLongestHold);
  // As stop().
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // What an intake needs.

  // nullptr when there is no such job.
  [[nodiscard]] JobKind* find(std::string_view job);
  [[nodiscard]] std::size_t job_kinds() const { return kinds_.size(); }
  [[nodiscard]] std::string explain_missing(std::string_view job, bool with_suggestion) const;
  [[nodiscard]] std::chrono::milliseconds default_timeout() const { return default_timeout_; }
  [[nodiscard]] bool draining() const { return draining_.load(); }
  [[nodiscard]] std::unique_ptr<JobBatch> new_batch() { return store_.take(); }
  [[nodiscard]] SpareBodies& spare_bodies() { return spare_bodies_; }
  void give_back(std::unique_ptr<JobBatch> batch) { store_.give_back(std::move(batch)); }
  // Reserves places in the queue; returns for how many of the jobs there were any.
  [[nodiscard]] std::size_t admit(TaskPriority priority, std::size_t jobs);
  // Answers for the batch from now on. REQUIRES: its jobs were admitted; the task is then added.
  [[nodiscard]] Task accept(std::unique_ptr<JobBatch> batch);
  // Hands tasks to the pool, at once. What it does not take is answered busy or shutting_down.
  void add(std::span<Task> tasks, TaskPriority priority);
  // Counts a request that never becomes a job, before its answer is sent.
  void count_refused(Status status);
  void count_undelivered(std::size_t answers);

  // From now on intakes answer shutting_down.
  void begin_drain() { draining_.store(true); }
  // Answers shutting_down to what has not started and asks what runs to stop. Does not wait.
  void abandon();
  // As abandon(), then waits for what runs. Afterwards no worker is left.
  void stop();

  // Has a worker free the memory that is kept for later, and give back what is free to the system.
  // False: no worker can be had now.
  [[nodiscard]] bool give_back_memory();

  // Requests accepted and not yet answered.
  [[nodiscard]] std::size_t in_flight() const { return in_flight_.load(); }

  // Adds the dispatcher's counts to `statistics`.
  void count_into(Statistics& statistics) const;

 private:
  class BatchTask;
  using Outcomes = std::array<std::uint64_t, kStatusCount>;  // answers not yet counted, by status

  void run(std::unique_ptr<JobBatch> batch) noexcept;
  void discard(std::unique_ptr<JobBatch> batch) noexcept;
  [[nodiscard]] Status obstacle_to(const JobBatch& batch, const Job& job,
                                   Clock::time_point now) const noexcept;
  Reply run_job(JobBatch& batch, const Job& job) noexcept;
  void answer(JobBatch& batch, Reply& reply, Outcomes& outcomes) noexcept;
  static void count_run_times(const JobBatch& batch, std::size_t first,
                              std::chrono::nanoseconds took) noexcept;
  void deliver(JobBatch& batch, Outcomes& outcomes) noexcept;
  [[nodiscard]] bool hand_back(std::unique_ptr<JobBatch>& batch) noexcept;
  [[nodiscard]] std::atomic<std::size_t>& waiting(TaskPriority priority) {
    return waiting_[static_cast<std::size_t>(priority)];
  }
  [[nodiscard]] std::atomic<std::uint64_t>& counter(Status status);

  const Handlers handlers_;
  std::map<std::string_view, JobKind> kinds_;  // constant but for what a kind counts
  const std::size_t capacity_jobs_;
  const std::chrono::milliseconds default_timeout_;
  const std::function<void()> on_quiet_;
  const std::chrono::microseconds longest_hold_;
  std::stop_source stop_;
  SpareBodies spare_bodies_;
  JobBatchStore store_{spare_bodies_.memory()};

  std::atomic<bool> draining_{false};

  // Written by loops and workers: a cache line each.
  alignas(64) std::array<std::atomic<std::size_t>, 3> waiting_{};  // jobs, by priority
  alignas(64) std::atomic<std::size_t> in_flight_{0};

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
