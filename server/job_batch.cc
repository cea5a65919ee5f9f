#include "server/job_batch.h"

#include <new>
#include <utility>

namespace evpool {
namespace {

void empty(std::string& string, std::size_t max_kept_bytes) {
  string.clear();
  if (string.capacity() > max_kept_bytes) string.shrink_to_fit();
}

// As above, but there is always room for a short answer.
void empty(Replies& replies, std::size_t max_kept_bytes) {
  replies.clear();
  if (replies.bytes.capacity() <= max_kept_bytes) return;
  try {
    replies = Replies();
  } catch (const std::bad_alloc&) {
    // Then it stays large.
  }
}

std::size_t memory_of(const JobBatch& batch) {
  return batch.bytes.capacity() + batch.request.payload.capacity() +
         batch.replies.bytes.capacity() + batch.jobs.capacity() * sizeof(Job) + sizeof(JobBatch);
}

}  // namespace

JobBatchStore::JobBatchStore(MemoryReturn& memory) : memory_(memory) { kept_.reserve(kMaxKept); }

std::unique_ptr<JobBatch> JobBatchStore::take() {
  {
    const MutexLock lock(mutex_);
    if (!kept_.empty()) {
      auto batch = std::move(kept_.back());
      kept_.pop_back();
      return batch;
    }
  }
  return std::make_unique<JobBatch>();
}

void JobBatchStore::give_back(std::unique_ptr<JobBatch> batch) noexcept {
  // Outside the lock: it may be the connection's last owner.
  batch->path.reset();
  batch->jobs.clear();
  batch->next = 0;
  batch->bodies.clear();
  batch->origins.clear();
  const std::size_t before_bytes = memory_of(*batch);
  empty(batch->bytes, kMaxKeptBytes);
  empty(batch->request.payload, kMaxKeptBytes);
  empty(batch->replies, kMaxKeptBytes);
  const std::size_t left_bytes = memory_of(*batch);
  if (left_bytes < before_bytes) memory_.count_freed(before_bytes - left_bytes);
  {
    const MutexLock lock(mutex_);
    if (kept_.size() < kMaxKept) {
      kept_.push_back(std::move(batch));
      return;
    }
  }
  memory_.count_freed(left_bytes);
}

}  // namespace evpool
