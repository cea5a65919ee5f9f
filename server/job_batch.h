// Requests of one path that change hands together, from the loop to a worker, as one task: a
// hand-over costs more than a small job, so it is paid once for as many as came at once.
//
// A batch is everything that running it needs, and is reused with its memory: in steady state a job
// allocates nothing. It is owned by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/job_kind.h"
#include "server/memory_return.h"
#include "server/replies.h"
#include "server/reply_path.h"
#include "server/request.h"
#include "threadpool/mutex.h"
#include "threadpool/task_priority.h"

namespace evpool {

// A request on its way.
struct Job {
  JobKind* kind = nullptr;
  Clock::time_point deadline{};
  std::uint64_t id = 0;
  // Where its payload is: in `bytes` of the batch, or the whole of one of `bodies`.
  std::uint32_t payload_at = 0;
  std::uint32_t payload_bytes = 0;
  Priority priority = Priority::normal;
  bool in_body = false;
};

struct JobBatch {
  // Long enough that a hand-over and a system call cost each job little; short enough that other
  // workers have their share of what one connection sent at once.
  static constexpr std::size_t kMaxJobs = 128;
  static constexpr std::size_t kMaxBytes = std::size_t{64} << 10U;

  std::shared_ptr<ReplyPath> path;
  TaskPriority priority = TaskPriority::normal;
  std::vector<Job> jobs;
  std::size_t next = 0;  // of jobs: the first that has no answer yet
  std::string bytes;
  std::vector<std::string> bodies;  // payloads that were received into their place
  std::vector<Origin> origins;      // of a UDP endpoint: one for each job

  // What its worker works with.
  Request request;
  Replies replies;

  [[nodiscard]] std::size_t jobs_left() const { return jobs.size() - next; }
  [[nodiscard]] ReplyTo reply_to(std::size_t job) const {
    return {.id = jobs[job].id, .origin = origins.empty() ? nullptr : &origins[job]};
  }
};

// The batches that are not in use. Any thread.
class JobBatchStore {
 public:
  // `memory` must outlive this.
  explicit JobBatchStore(MemoryReturn& memory);
  // Throws std::bad_alloc.
  [[nodiscard]] std::unique_ptr<JobBatch> take();
  void give_back(std::unique_ptr<JobBatch> batch) noexcept;

 private:
  // More are not kept, nor is the memory of one that an unusual load made large.
  static constexpr std::size_t kMaxKept = 256;
  static constexpr std::size_t kMaxKeptBytes = std::size_t{16} << 10U;

  MemoryReturn& memory_;
  Mutex mutex_;
  std::vector<std::unique_ptr<JobBatch>> kept_ EVPOOL_GUARDED_BY(mutex_);
};

}  // namespace evpool
