#include "server/job_batch.h"

#include <utility>

namespace evpool {
namespace {

void empty(std::string& string, std::size_t max_kept_bytes) {
  string.clear();
  if (string.capacity() > max_kept_bytes) string.shrink_to_fit();
}

}  // namespace

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

void JobBatchStore::give_back(std::unique_ptr<JobBatch> batch) {
  // Outside the lock: it may be the connection's last owner.
  batch->path.reset();
  batch->jobs.clear();
  batch->next = 0;
  batch->bodies.clear();
  batch->origins.clear();
  batch->replies.clear();
  empty(batch->bytes, kMaxKeptBytes);
  empty(batch->request.payload, kMaxKeptBytes);
  empty(batch->replies.bytes, kMaxKeptBytes);
  const MutexLock lock(mutex_);
  if (kept_.size() < kMaxKept) kept_.push_back(std::move(batch));
}

}  // namespace evpool
