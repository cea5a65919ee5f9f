#include "threadpool/evpool_pool.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <system_error>

#include "threadpool/thread_pool.h"

struct evpool_pool {
  std::unique_ptr<evpool::ThreadPool> pool;
};

namespace {

using evpool::AddResult;
using evpool::TaskPriority;
using evpool::ThreadPool;

class CTask {
 public:
  CTask(void (*to_run)(void*), void (*to_discard)(void*), void* argument)
      : run_(to_run), discard_(to_discard), argument_(argument) {}
  void operator()() const { run_(argument_); }
  void discard() const noexcept {
    if (discard_ != nullptr) discard_(argument_);
  }

 private:
  void (*run_)(void*);
  void (*discard_)(void*);
  void* argument_;
};

int errno_of(AddResult result) {
  switch (result) {
    case AddResult::added:
      return 0;
    case AddResult::full:
      return EAGAIN;
    case AddResult::draining:
      return ECANCELED;
    case AddResult::stopped:
      return ESHUTDOWN;
    case AddResult::own_worker:
      return EDEADLK;
  }
  return EINVAL;
}

std::optional<TaskPriority> priority_of(evpool_priority priority) {
  switch (priority) {
    case EVPOOL_HIGH:
      return TaskPriority::high;
    case EVPOOL_LOW:
      return TaskPriority::low;
    case EVPOOL_NORMAL:
      return TaskPriority::normal;
  }
  return std::nullopt;
}

ThreadPool::Clock::time_point time_of(const timespec* given) {
  if (given == nullptr) return ThreadPool::Clock::time_point::max();
  const timespec& time = *given;
  // Further off than the clock's nanoseconds reach is for ever, or long ago.
  constexpr std::int64_t kMost_s = INT64_MAX / 1'000'000'000 - 1;
  if (time.tv_sec > kMost_s) return ThreadPool::Clock::time_point::max();
  if (time.tv_sec < 0) return ThreadPool::Clock::time_point();
  return ThreadPool::Clock::time_point(std::chrono::seconds(time.tv_sec) +
                                       std::chrono::nanoseconds(time.tv_nsec));
}

// Whether a structure of so many bytes has its size, and whole members, which are all alike in
// size: an older one ends after any of them, and of a newer one only the beginning is known here.
template <typename Struct>
bool has_whole_members(const Struct& given) {
  const std::size_t bytes = given.struct_bytes;
  return bytes >= sizeof(Struct) ||
         (bytes >= sizeof(given.struct_bytes) && bytes % alignof(Struct) == 0);
}

// The members that the caller's version of the structure has, over the defaults.
template <typename Struct>
Struct known_part(const Struct* given) {
  Struct known{};
  if (given != nullptr) {
    std::memcpy(&known, given, std::min(given->struct_bytes, sizeof(Struct)));
  }
  return known;
}

void explain(const char* what, char* error, std::size_t error_bytes) {
  if (error != nullptr && error_bytes > 0) std::snprintf(error, error_bytes, "%s", what);
}

}  // namespace

int evpool_pool_create(const evpool_pool_options* options, evpool_pool** pool, char* error,
                       std::size_t error_bytes) {
  if (pool == nullptr) {
    explain("cannot create a pool: there is no place for it", error, error_bytes);
    return EINVAL;
  }
  *pool = nullptr;
  if (options != nullptr && !has_whole_members(*options)) {
    explain("cannot create a pool: set struct_bytes of the options to their size", error,
            error_bytes);
    return EINVAL;
  }
  const evpool_pool_options given = known_part(options);
  evpool::ThreadPoolOptions wanted;
  try {
    wanted.workers = given.workers;
    if (given.capacity_tasks != 0) wanted.capacity_tasks = given.capacity_tasks;
    if (given.thread_name != nullptr) wanted.thread_name = given.thread_name;
    wanted.stack_bytes = given.stack_bytes;
    auto made = std::make_unique<evpool_pool>();
    made->pool = ThreadPool::create(wanted);
    *pool = made.release();
    return 0;
  } catch (const std::invalid_argument& wrong) {
    explain(wrong.what(), error, error_bytes);
    return EINVAL;
  } catch (const std::system_error& failed) {
    explain(failed.what(), error, error_bytes);
    return failed.code().value();
  } catch (const std::bad_alloc&) {
    explain("cannot create a pool: out of memory", error, error_bytes);
    return ENOMEM;
  }
}

int evpool_pool_add(evpool_pool* pool, void (*run)(void*), void (*discard)(void*), void* argument,
                    evpool_priority priority) {
  const auto wanted = priority_of(priority);
  if (pool == nullptr || run == nullptr || !wanted) return EINVAL;
  return errno_of(pool->pool->try_add(CTask(run, discard, argument), *wanted));
}

int evpool_pool_add_until(evpool_pool* pool, void (*run)(void*), void (*discard)(void*),
                          void* argument, evpool_priority priority, const timespec* deadline) {
  const auto wanted = priority_of(priority);
  if (pool == nullptr || run == nullptr || !wanted) return EINVAL;
  const AddResult result =
      pool->pool->add_until(time_of(deadline), CTask(run, discard, argument), *wanted);
  return result == AddResult::full ? ETIMEDOUT : errno_of(result);
}

int evpool_pool_drain(evpool_pool* pool, const timespec* deadline) {
  if (pool == nullptr) return EINVAL;
  if (pool->pool->is_own_worker()) return EDEADLK;
  return pool->pool->drain_until(time_of(deadline)) ? 0 : ETIMEDOUT;
}

int evpool_pool_stop(evpool_pool* pool) {
  if (pool == nullptr) return EINVAL;
  if (pool->pool->is_own_worker()) return EDEADLK;
  pool->pool->stop();
  return 0;
}

int evpool_pool_get_statistics(const evpool_pool* pool, evpool_pool_statistics* statistics) {
  if (pool == nullptr || statistics == nullptr || !has_whole_members(*statistics)) return EINVAL;
  const evpool::ThreadPoolStatistics counted = pool->pool->statistics();
  const evpool_pool_statistics all = {.struct_bytes = statistics->struct_bytes,
                                      .queued = counted.queued,
                                      .high_water = counted.high_water,
                                      .executed = counted.executed,
                                      .discarded = counted.discarded,
                                      .refused = counted.refused,
                                      .parks = counted.parks,
                                      .wakes = counted.wakes,
                                      .spurious_wakes = counted.spurious_wakes,
                                      .cancelled = counted.cancelled,
                                      .queue_time_samples = counted.queue_time.samples,
                                      .queue_time_total_ns = counted.queue_time.total_ns,
                                      .queue_time_max_ns = counted.queue_time.max_ns,
                                      .run_time_samples = counted.run_time.samples,
                                      .run_time_total_ns = counted.run_time.total_ns,
                                      .run_time_max_ns = counted.run_time.max_ns};
  std::memcpy(statistics, &all, std::min(statistics->struct_bytes, sizeof(all)));
  return 0;
}

void evpool_pool_destroy(evpool_pool* pool) { const std::unique_ptr<evpool_pool> last(pool); }
