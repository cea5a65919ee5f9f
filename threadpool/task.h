// What the pool runs: any callable without arguments, a plain function too, moved in and stored
// inline.
//
// A callable that also has a member `void discard() noexcept` is told, by that call, when the pool
// drops it unrun; so a task that owes somebody an answer can give one either way. A callable that
// returns a TaskOutcome says by it whether it found itself cancelled; other results are dropped.
//
// A callable with a member `bool retire() noexcept` gives up its place in a full queue: true means
// that running it would never do anything; the pool then destroys it without running or discarding
// it. It is asked by a thread that adds to the pool, and must not use the pool itself. The pool
// asks only after ThreadPool::count_spent_task.
//
// A task must not end its thread, by pthread_exit or pthread_cancel: the process is aborted.
#pragma once

#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace evpool {

enum class TaskOutcome : std::uint8_t { executed, cancelled };

class Task {
 public:
  // This much, a pointer to its operations, and what the queue needs to know make one cache line.
  static constexpr std::size_t kInlineBytes = 48;

  Task() = default;

  template <typename Callable>
  requires(!std::same_as<std::decay_t<Callable>, Task> && std::invocable<std::decay_t<Callable>&>)
      Task(Callable&& callable)  // NOLINT(google-explicit-constructor): a task is what it runs
      : operations_(&kOperationsOf<std::decay_t<Callable>>) {
    using Stored = std::decay_t<Callable>;
    static_assert(sizeof(Stored) <= kInlineBytes,
                  "a task holds 48 bytes: capture less, or say evpool::boxed(callable)");
    static_assert(alignof(Stored) <= alignof(void*), "say evpool::boxed(callable)");
    static_assert(std::is_nothrow_move_constructible_v<Stored>);
    ::new (static_cast<void*>(storage_)) Stored(std::forward<Callable>(callable));
  }

  Task(Task&& other) noexcept { take(other); }
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() { reset(); }

  explicit operator bool() const { return operations_ != nullptr; }

  // REQUIRES: not empty.
  TaskOutcome run() {
    assert(operations_ != nullptr);
    return operations_->run(storage_);
  }
  // Tells the callable that it will not be run, if it wants to know. REQUIRES: not empty.
  void discard() noexcept {
    assert(operations_ != nullptr);
    operations_->discard(storage_);
  }
  // True: the callable wants to be neither run nor discarded any more. REQUIRES: not empty.
  [[nodiscard]] bool retire() noexcept {
    assert(operations_ != nullptr);
    return operations_->retire != nullptr && operations_->retire(storage_);
  }
  // Destroys the callable; the task is empty afterwards.
  void reset() noexcept {
    if (operations_ == nullptr) return;
    const Operations& operations = *std::exchange(operations_, nullptr);
    if (operations.destroy != nullptr) operations.destroy(storage_);
  }

  // Takes over what `other` holds without writing to it: afterwards `other` must not be used, nor
  // destroyed. REQUIRES: this one is empty.
  void relocate_from(Task& other) noexcept {
    assert(operations_ == nullptr);
    operations_ = other.operations_;
    if (operations_ == nullptr) return;
    if (operations_->relocate == nullptr) {
      for (std::size_t at = 0; at < operations_->bytes; at += sizeof(std::uint64_t)) {
        copy_word(other.storage_ + at, storage_ + at);
      }
    } else {
      operations_->relocate(other.storage_, storage_);
    }
  }

 private:
  // relocate (move to `to`, destroy `from`) and destroy are null where copying the bytes and
  // nothing at all do: most lambdas capture pointers, and two indirect calls less is a tenth of
  // what such a task costs. retire is null where the callable has none.
  struct Operations {
    TaskOutcome (*run)(void*);
    void (*discard)(void*) noexcept;
    void (*relocate)(void* from, void* to) noexcept;
    void (*destroy)(void*) noexcept;
    bool (*retire)(void*) noexcept;
    std::size_t bytes;
  };

  template <typename Stored>
  static TaskOutcome run_stored(void* at) {
    Stored& stored = *static_cast<Stored*>(at);
    if constexpr (std::same_as<std::invoke_result_t<Stored&>, TaskOutcome>) {
      return stored();
    } else {
      static_cast<void>(stored());
      return TaskOutcome::executed;
    }
  }
  template <typename Stored>
  static void discard_stored([[maybe_unused]] void* at) noexcept {
    if constexpr (requires(Stored & stored) { stored.discard(); }) {
      static_assert(noexcept(static_cast<Stored*>(at)->discard()));
      static_cast<Stored*>(at)->discard();
    }
  }
  template <typename Stored>
  static void relocate_stored(void* from, void* to) noexcept {
    ::new (to) Stored(std::move(*static_cast<Stored*>(from)));
    static_cast<Stored*>(from)->~Stored();
  }
  template <typename Stored>
  static void destroy_stored(void* at) noexcept {
    static_cast<Stored*>(at)->~Stored();
  }

  template <typename Stored>
  static constexpr auto retire_of() -> bool (*)(void*) noexcept {
    if constexpr (requires(Stored & stored) { stored.retire(); }) {
      static_assert(noexcept(std::declval<Stored&>().retire()));
      return [](void* at) noexcept -> bool { return static_cast<Stored*>(at)->retire(); };
    } else {
      return nullptr;
    }
  }

  template <typename Stored>
  static constexpr Operations kOperationsOf = {
      .run = &run_stored<Stored>,
      .discard = &discard_stored<Stored>,
      .relocate = std::is_trivially_copyable_v<Stored> ? nullptr : &relocate_stored<Stored>,
      .destroy = std::is_trivially_destructible_v<Stored> ? nullptr : &destroy_stored<Stored>,
      .retire = retire_of<Stored>(),
      .bytes = sizeof(Stored),
  };

  // Word by word, and kept so by the empty asm: merged into wider loads, they would stall on the
  // narrower stores by which the callable has just been made. Measured: 12 ns for each task, of 25.
  // The built-in, because memcpy becomes a call where it is fortified (_FORTIFY_SOURCE=3).
  static void copy_word(const std::byte* from, std::byte* to) noexcept {
    std::uint64_t word = 0;
    __builtin_memcpy(&word, from, sizeof(word));
    asm("" : "+r"(word));
    __builtin_memcpy(to, &word, sizeof(word));
  }

  void take(Task& other) noexcept {
    relocate_from(other);
    other.operations_ = nullptr;
  }

  const Operations* operations_ = nullptr;
  alignas(void*) std::byte storage_[kInlineBytes];
};

static_assert(sizeof(Task) == 56);

// A task too large to be stored inline, on the heap.
template <typename Callable>
class Boxed {
 public:
  explicit Boxed(Callable&& callable)
      : callable_(std::make_unique<Callable>(std::forward<Callable>(callable))) {}
  decltype(auto) operator()() { return (*callable_)(); }
  void discard() noexcept {
    if constexpr (requires(Callable & callable) { callable.discard(); }) callable_->discard();
  }
  bool retire() noexcept {
    if constexpr (requires(Callable & callable) { callable.retire(); }) {
      return callable_->retire();
    } else {
      return false;
    }
  }

 private:
  std::unique_ptr<Callable> callable_;
};

template <typename Callable>
[[nodiscard]] Boxed<std::decay_t<Callable>> boxed(Callable&& callable) {
  return Boxed<std::decay_t<Callable>>(std::decay_t<Callable>(std::forward<Callable>(callable)));
}

// What a task has just thrown, for the catch (...) around it.
inline std::exception_ptr exception_of_task() {
  std::exception_ptr exception = std::current_exception();
  if (exception == nullptr) {
    // The thread is being unwound to end, which is no exception, and which must not be caught: the
    // C library would abort, too, and name nobody.
    std::fputs("evpool: a task must not end its thread (pthread_exit, pthread_cancel)\n", stderr);
    std::abort();
  }
  return exception;
}

}  // namespace evpool
