#include "server/spare_bodies.h"

#include <utility>

namespace evpool {

std::string SpareBodies::take(std::size_t bytes) {
  {
    const MutexLock lock(mutex_);
    for (auto body = kept_.rbegin(); body != kept_.rend(); ++body) {
      if (body->capacity() < bytes || body->capacity() / kMostTimesLarger > bytes) continue;
      std::string taken = std::move(*body);
      kept_bytes_ -= taken.capacity();
      kept_.erase(std::next(body).base());
      return taken;
    }
  }
  std::string made;
  made.reserve(bytes);
  return made;
}

void SpareBodies::give_back(std::string body) {
  if (body.capacity() < kLeastBytes || body.capacity() > kMaxKeptBytes) return;
  body.clear();
  std::vector<std::string> freed;  // after the lock
  const MutexLock lock(mutex_);
  while (kept_.size() == kMaxKept || kept_bytes_ + body.capacity() > kMaxKeptBytes) {
    kept_bytes_ -= kept_.front().capacity();
    freed.push_back(std::move(kept_.front()));
    kept_.erase(kept_.begin());
  }
  kept_bytes_ += body.capacity();
  kept_.push_back(std::move(body));
}

std::size_t SpareBodies::kept_bytes() {
  const MutexLock lock(mutex_);
  return kept_bytes_;
}

}  // namespace evpool
