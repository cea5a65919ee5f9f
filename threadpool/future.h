// A task with a result: submit() adds it and gives a future for what it returns or throws.
//
//   auto [added, answer] = evpool::submit(*pool, [] { return 6 * 7; });
//   if (added == evpool::AddResult::added) use(answer.get());
//
// A callable that returns a reference gives a Future of that reference, so nothing is copied: get()
// returns the very object, which must still live then. One that returns `T&&` does not compile:
// what it refers to may be gone before get(). Otherwise the result is moved into the future and out
// of it; it needs a move constructor and nothing else, and a `const` of its type is dropped.
//
// A callable that takes a std::stop_token is told by it when it is cancelled while it runs.
//
// What the future and its task share is at most BlockPool::kBlockBytes for small callables and
// results, and then comes from the pool's own blocks: in steady state nothing is allocated, but for
// the state of a stop token where the callable takes one. The callable is destroyed when its future
// and its task have both let go: maybe on the worker and after get() has returned, or, of a
// cancelled task, in a thread that adds to the full pool and needs the place.
#pragma once

#include <atomic>
#include <cassert>
#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "block_pool.h"
#include "futex.h"
#include "thread_pool.h"
#include "would_deadlock.h"

namespace evpool {

// What get() throws for a task that was never run.
class TaskDiscarded : public std::runtime_error {
 public:
  TaskDiscarded() : std::runtime_error("the pool was stopped before the task could start") {}
};
class TaskCancelled : public std::runtime_error {
 public:
  TaskCancelled() : std::runtime_error("the task was cancelled before it could start") {}
};

enum class CancelResult : std::uint8_t {
  cancelled,  // it will not run; its place in the queue is free as soon as somebody needs it
  requested,  // it runs; its stop token says so, if it took one
  finished,   // too late: it has ended, or is being cancelled or discarded
};

namespace detail {

// Shared by the future and the task; the last of the two to let go destroys it.
class FutureStateBase {
 public:
  FutureStateBase(std::shared_ptr<BlockPool> blocks, const void* pool, std::stop_source stop)
      : blocks_(std::move(blocks)), pool_(pool), stop_(std::move(stop)) {}
  FutureStateBase(const FutureStateBase&) = delete;
  FutureStateBase& operator=(const FutureStateBase&) = delete;

  [[nodiscard]] bool finished() const {
    return (phase_.load(std::memory_order_acquire) & ~kWaitedFor) == kFinished;
  }
  // False: the deadline passed first.
  bool wait(Deadline deadline) {
    if (finished()) return true;
    if (ThreadPool::of_this_thread() == pool_) {
      throw_would_deadlock("a worker must not wait for a task of its own pool");
    }
    if (!blocks_->is_mine()) {
      throw_would_deadlock("a child of fork() must not wait for its parent's task");
    }
    for (;;) {
      const std::uint32_t phase = phase_.fetch_or(kWaitedFor) | kWaitedFor;
      if (finished()) return true;
      if (!futex_wait(phase_, phase, deadline)) return finished();
    }
  }
  CancelResult cancel() {
    if (move_on(kWaiting, kEnding)) {
      error_ = std::make_exception_ptr(TaskCancelled());
      finish();
      blocks_->spent_tasks().count_one();
      return CancelResult::cancelled;
    }
    if ((phase_.load() & ~kWaitedFor) != kRunning) return CancelResult::finished;
    stop_.request_stop();
    return CancelResult::requested;
  }
  // Moved out, so that the worker, which may let go of this last, has no part in the exception.
  void rethrow_error() {
    if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  TaskOutcome run() {
    if (!move_on(kWaiting, kRunning)) return TaskOutcome::cancelled;
    try {
      call();
    } catch (...) {
      error_ = exception_of_task();
    }
    finish();
    return TaskOutcome::executed;
  }
  void discard() noexcept {
    if (!move_on(kWaiting, kEnding)) return;
    error_ = std::make_exception_ptr(TaskDiscarded());
    finish();
  }

  // Of a task that was not run: whether it was cancelled.
  [[nodiscard]] bool retire() const noexcept { return finished(); }

  void let_go() noexcept {
    if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

 protected:
  ~FutureStateBase() = default;
  virtual void call() = 0;
  virtual void destroy() noexcept = 0;

  std::shared_ptr<BlockPool> blocks_;
  const void* const pool_;
  std::stop_source stop_;

 private:
  static constexpr std::uint32_t kWaiting = 0;   // to be run
  static constexpr std::uint32_t kRunning = 1;   // its worker will finish it
  static constexpr std::uint32_t kEnding = 2;    // who cancelled or discarded it will
  static constexpr std::uint32_t kFinished = 3;  // error_ and the value may be read
  static constexpr std::uint32_t kWaitedFor = 4;

  bool move_on(std::uint32_t from, std::uint32_t to) {
    std::uint32_t phase = phase_.load();
    while ((phase & ~kWaitedFor) == from) {
      if (phase_.compare_exchange_weak(phase, to | (phase & kWaitedFor))) return true;
    }
    return false;
  }
  void finish() {
    if ((phase_.exchange(kFinished) & kWaitedFor) != 0) futex_wake_all(phase_);
  }

  FutexWord phase_{kWaiting};
  std::atomic<std::uint32_t> holders_{2};
  std::exception_ptr error_;  // written by who finishes, before it
};

template <typename Result>
class FutureState : public FutureStateBase {
 public:
  using FutureStateBase::FutureStateBase;
  Result take_value() { return std::move(*value_); }

 protected:
  ~FutureState() = default;
  std::optional<Result> value_;
};
template <typename Result>
class FutureState<Result&> : public FutureStateBase {
 public:
  using FutureStateBase::FutureStateBase;
  Result& take_value() { return *value_; }

 protected:
  ~FutureState() = default;
  Result* value_ = nullptr;
};
template <>
class FutureState<void> : public FutureStateBase {
 public:
  using FutureStateBase::FutureStateBase;
  void take_value() {}

 protected:
  ~FutureState() = default;
};

template <typename Callable>
inline constexpr bool kTakesStopToken = std::invocable<Callable&, std::stop_token>;

template <typename Callable>
decltype(auto) call_with(Callable& callable, const std::stop_source& stop) {
  if constexpr (kTakesStopToken<Callable>) {
    return callable(stop.get_token());
  } else {
    return callable();
  }
}

// A reference stays one; a value loses its const.
template <typename Callable>
using ResultOf = std::remove_cv_t<decltype(call_with(std::declval<Callable&>(),
                                                     std::declval<const std::stop_source&>()))>;

template <typename Callable>
class CallState final : public FutureState<ResultOf<Callable>> {
 public:
  static CallState* create(std::shared_ptr<BlockPool> blocks, const void* pool,
                           Callable&& callable) {
    static_assert(alignof(CallState) <= alignof(std::max_align_t));
    BlockPool& from = *blocks;
    void* const block = from.allocate(sizeof(CallState));
    try {
      return ::new (block) CallState(std::move(blocks), pool, std::move(callable));
    } catch (...) {
      from.release(block, sizeof(CallState));
      throw;
    }
  }

 private:
  CallState(std::shared_ptr<BlockPool> blocks, const void* pool, Callable&& callable)
      : FutureState<ResultOf<Callable>>(
            std::move(blocks), pool,
            kTakesStopToken<Callable> ? std::stop_source() : std::stop_source(std::nostopstate)),
        callable_(std::move(callable)) {}
  ~CallState() = default;

  void call() override {
    using Result = ResultOf<Callable>;
    if constexpr (std::is_void_v<Result>) {
      call_with(callable_, this->stop_);
    } else if constexpr (std::is_lvalue_reference_v<Result>) {
      this->value_ = std::addressof(call_with(callable_, this->stop_));
    } else {
      const auto call = [this]() -> Result { return call_with(callable_, this->stop_); };
      this->value_.emplace(call());
    }
  }
  void destroy() noexcept override {
    const std::shared_ptr<BlockPool> blocks = std::move(this->blocks_);
    this->~CallState();
    blocks->release(this, sizeof(CallState));
  }

  Callable callable_;
};

struct LetGo {
  void operator()(FutureStateBase* state) const noexcept { state->let_go(); }
};
template <typename State>
using Held = std::unique_ptr<State, LetGo>;

class SubmittedTask {
 public:
  explicit SubmittedTask(FutureStateBase* state) : state_(state) {}
  TaskOutcome operator()() { return state_->run(); }
  void discard() noexcept { state_->discard(); }
  bool retire() noexcept { return state_->retire(); }

 private:
  Held<FutureStateBase> state_;
};

}  // namespace detail

// Movable; one thread at a time. Letting go of it lets the task run on. After fork(), the child has
// a future of its own: cancelling there does nothing to the parent's task.
template <typename Result>
class [[nodiscard]] Future {
  static_assert(
      !std::is_rvalue_reference_v<Result>,
      "a task must not return an rvalue reference, as the object may be gone before get():"
      " return a value, or an lvalue reference");

 public:
  Future() = default;
  explicit Future(detail::FutureState<Result>* state) : state_(state) {}

  // Whether there is something to wait for: not after get(), nor for a task that was not added.
  // REQUIRED by the calls below.
  [[nodiscard]] bool valid() const { return state_ != nullptr; }
  [[nodiscard]] bool ready() const { return state().finished(); }

  // Waits. On a worker of the same pool, and in a child of fork(), where nobody would finish the
  // task, they throw std::system_error, resource_deadlock_would_occur, instead of waiting; what is
  // ready can be had there too.
  void wait() const { state().wait(kNoDeadline); }
  [[nodiscard]] bool wait_until(Deadline deadline) const { return state().wait(deadline); }

  // Waits; returns what the task returned (a reference: that very object) or throws what it threw,
  // or TaskDiscarded or TaskCancelled.
  Result get() {
    wait();
    const auto ended = std::move(state_);
    ended->rethrow_error();
    return ended->take_value();
  }

  CancelResult cancel() { return state().cancel(); }

 private:
  [[nodiscard]] detail::FutureState<Result>& state() const {
    assert(valid() && "a future that was not got from submit, or has been got already");
    return *state_;
  }

  detail::Held<detail::FutureState<Result>> state_;
};

template <typename Result>
struct Submitted {
  AddResult added;
  Future<Result> future;  // valid when `added` says so
};

// Adds `callable`, of any size, as try_add does, but consumes it in any case: to have it back when
// it is refused, keep a copy, or what it needs. Throws std::bad_alloc, or, at a pool's first,
// std::system_error.
template <typename Callable>
[[nodiscard]] auto submit(ThreadPool& pool, Callable callable,
                          TaskPriority priority = TaskPriority::normal)
    -> Submitted<detail::ResultOf<Callable>> {
  using Result = detail::ResultOf<Callable>;
  auto* const state =
      detail::CallState<Callable>::create(pool.blocks(), pool.identity(), std::move(callable));
  Future<Result> future(state);
  Task task{detail::SubmittedTask(state)};
  const AddResult added = pool.try_add(std::move(task), priority);
  if (added != AddResult::added) return {.added = added, .future = {}};
  return {.added = added, .future = std::move(future)};
}

}  // namespace evpool
