#include "threadpool/evpool_pool.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
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

TaskPriority priority_of(evpool_priority priority) {
  switch (priority) {
    case EVPOOL_HIGH:
      return TaskPriority::high;
    case EVPOOL_LOW:
      return TaskPriority::low;
    case EVPOOL_NORMAL:
      break;
  }
  return TaskPriority::normal;
}

ThreadPool::Clock::time_point time_of(const timespec& time) {
  // Further off than the clock's nanoseconds reach is for ever, or long ago.
  constexpr std::int64_t kMost_s = INT64_MAX / 1'000'000'000 - 1;
  if (time.tv_sec > kMost_s) return ThreadPool::Clock::time_point::max();
  if (time.tv_sec < 0) return ThreadPool::Clock::time_point();
  return ThreadPool::Clock::time_point(std::chrono::seconds(time.tv_sec) +
                                       std::chrono::nanoseconds(time.tv_nsec));
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
  if (options != nullptr && options->struct_bytes < sizeof(options->struct_bytes)) {
    explain("cannot create a pool: set struct_bytes of the options to their size", error,
            error_bytes);
    return EINVAL;
  }
  const evpool_pool_options given = known_part(options);
  evpool::ThreadPoolOptions wanted;
  try {
    if (given.workers != 0) wanted.workers = given.workers;
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
  return errno_of(pool->pool->try_add(CTask(run, discard, argument), priority_of(priority)));
}

int evpool_pool_add_until(evpool_pool* pool, void (*run)(void*), void (*discard)(void*),
                          void* argument, evpool_priority priority, const timespec* deadline) {
  const AddResult result = pool->pool->add_until(time_of(*deadline), CTask(run, discard, argument),
                                                 priority_of(priority));
  return result == AddResult::full ? ETIMEDOUT : errno_of(result);
}

int evpool_pool_drain(evpool_pool* pool, const timespec* deadline) {
  if (pool->pool->is_own_worker()) return EDEADLK;
  const auto until =
      deadline == nullptr ? ThreadPool::Clock::time_point::max() : time_of(*deadline);
  return pool->pool->drain_until(until) ? 0 : ETIMEDOUT;
}

int evpool_pool_stop(evpool_pool* pool) {
  if (pool->pool->is_own_worker()) return EDEADLK;
  pool->pool->stop();
  return 0;
}

int evpool_pool_get_statistics(const evpool_pool* pool, evpool_pool_statistics* statistics) {
  if (statistics->struct_bytes < sizeof(statistics->struct_bytes)) return EINVAL;
  const evpool::ThreadPoolStatistics counted = pool->pool->statistics();
  const evpool_pool_statistics all = {.struct_bytes = statistics->struct_bytes,
                                      .queued = counted.queued,
                                      .high_water = counted.high_water,
                                      .executed = counted.executed,
                                      .discarded = counted.discarded,
                                      .refused = counted.refused,
                                      .parks = counted.parks,
                                      .wakes = counted.wakes,
                                      .spurious_wakes = counted.spurious_wakes};
  std::memcpy(statistics, &all, std::min(statistics->struct_bytes, sizeof(all)));
  return 0;
}

void evpool_pool_destroy(evpool_pool* pool) { const std::unique_ptr<evpool_pool> last(pool); }
