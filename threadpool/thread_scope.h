// What a thread is in the middle of, for refusing what would make it wait for itself.
#pragma once

namespace evpool {

// This thread is inside of `Place` while it lives; also several times, and of others within. As a
// chain through the stack: it allocates nothing, and asking looks at as many as are nested.
template <typename Place>
class ThreadScope {
 public:
  explicit ThreadScope(const Place& place) : place_(place), outer_(innermost_) {
    innermost_ = this;
  }
  ~ThreadScope() { innermost_ = outer_; }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

  [[nodiscard]] static bool holds(const Place& place) {
    const ThreadScope* scope = innermost_;
    while (scope != nullptr && &scope->place_ != &place) scope = scope->outer_;
    return scope != nullptr;
  }

 private:
  static inline thread_local const ThreadScope* innermost_ = nullptr;

  const Place& place_;
  const ThreadScope* const outer_;
};

}  // namespace evpool
