// A mutex that clang's -Wthread-safety can check: std::mutex carries no annotations in libstdc++.
#pragma once

#include <mutex>

#if defined(__clang__)
#define EVPOOL_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define EVPOOL_THREAD_ANNOTATION(x)
#endif

#define EVPOOL_GUARDED_BY(mutex) EVPOOL_THREAD_ANNOTATION(guarded_by(mutex))
#define EVPOOL_REQUIRES(mutex) EVPOOL_THREAD_ANNOTATION(requires_capability(mutex))

namespace evpool {

class EVPOOL_THREAD_ANNOTATION(capability("mutex")) Mutex {
 public:
  void lock() EVPOOL_THREAD_ANNOTATION(acquire_capability()) { mutex_.lock(); }
  void unlock() EVPOOL_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class EVPOOL_THREAD_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) EVPOOL_THREAD_ANNOTATION(acquire_capability(mutex))
      : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() EVPOOL_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace evpool
