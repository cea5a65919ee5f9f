#include "server/spare_bodies.h"

#include <utility>

namespace evpool {

SpareBodies::SpareBodies() { kept_.reserve(kMaxKept); }

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

void SpareBodies::give_back(std::string body) noexcept {
  // Kept or not: what is kept is freed when load has gone.
  memory_.count_freed(body.capacity());
  if (body.capacity() < kLeastBytes || body.capacity() > kMaxKeptBytes) return;
  body.clear();
  while (!keep(body)) {
    const std::string freed = take_oldest();  // without the lock
  }
}

// False: there is no room for it.
bool SpareBodies::keep(std::string& body) {
  const MutexLock lock(mutex_);
  if (kept_.size() == kMaxKept || kept_bytes_ + body.capacity() > kMaxKeptBytes) return false;
  kept_bytes_ += body.capacity();
  kept_.push_back(std::move(body));
  return true;
}

std::string SpareBodies::take_oldest() {
  const MutexLock lock(mutex_);
  if (kept_.empty()) return {};
  std::string oldest = std::move(kept_.front());
  kept_.erase(kept_.begin());
  kept_bytes_ -= oldest.capacity();
  return oldest;
}

void SpareBodies::clear() {
  while (take_oldest().capacity() >= kLeastBytes) {
  }
}

std::size_t SpareBodies::kept_bytes() {
  const MutexLock lock(mutex_);
  return kept_bytes_;
}

}  // namespace evpool
