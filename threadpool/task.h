// What the pool runs: any callable without arguments, moved in and stored inline.
//
// A callable that also has a member `void discard() noexcept` is told, by that call, when the pool
// drops it unrun; so a task that owes somebody an answer can give one either way.
#pragma once

#include <cassert>
#include <concepts>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace evpool {

class Task {
 public:
  // A task is one cache line: this much, and a pointer to its operations, with room to align.
  static constexpr std::size_t kInlineBytes = 48;

  Task() = default;

  template <typename Callable>
  requires(!std::same_as<std::remove_cvref_t<Callable>, Task> &&
           std::invocable<std::remove_cvref_t<Callable>&>)
      Task(Callable&& callable)  // NOLINT(google-explicit-constructor): a task is what it runs
      : operations_(&kOperationsOf<std::remove_cvref_t<Callable>>) {
    using Stored = std::remove_cvref_t<Callable>;
    static_assert(sizeof(Stored) <= kInlineBytes,
                  "a task holds 48 bytes: capture less, or capture a std::unique_ptr to the rest");
    static_assert(alignof(Stored) <= alignof(std::max_align_t));
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
  void run() {
    assert(operations_ != nullptr);
    operations_->run(storage_);
  }
  // Tells the callable that it will not be run, if it wants to know. REQUIRES: not empty.
  void discard() noexcept {
    assert(operations_ != nullptr);
    operations_->discard(storage_);
  }
  // Destroys the callable; the task is empty afterwards.
  void reset() noexcept {
    if (operations_ != nullptr) std::exchange(operations_, nullptr)->destroy(storage_);
  }

 private:
  struct Operations {
    void (*run)(void*);
    void (*discard)(void*) noexcept;
    void (*relocate)(void* from, void* to) noexcept;  // move to `to`, destroy `from`
    void (*destroy)(void*) noexcept;
  };

  template <typename Stored>
  static constexpr Operations kOperationsOf = {
      .run = [](void* at) { (*static_cast<Stored*>(at))(); },
      .discard =
          []([[maybe_unused]] void* at) noexcept {
            if constexpr (requires(Stored & stored) { stored.discard(); }) {
              static_assert(noexcept(static_cast<Stored*>(at)->discard()));
              static_cast<Stored*>(at)->discard();
            }
          },
      .relocate =
          [](void* from, void* to) noexcept {
            ::new (to) Stored(std::move(*static_cast<Stored*>(from)));
            static_cast<Stored*>(from)->~Stored();
          },
      .destroy = [](void* at) noexcept { static_cast<Stored*>(at)->~Stored(); },
  };

  void take(Task& other) noexcept {
    operations_ = std::exchange(other.operations_, nullptr);
    if (operations_ != nullptr) operations_->relocate(other.storage_, storage_);
  }

  const Operations* operations_ = nullptr;
  alignas(std::max_align_t) std::byte storage_[kInlineBytes];
};

static_assert(sizeof(Task) == 64);

}  // namespace evpool
