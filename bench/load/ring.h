// A first-in-first-out queue of plain values in one piece of memory, which grows to what was once
// needed and is kept. A std::deque would take and give back memory as values pass through. One
// thread.
#pragma once

#include <cassert>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace evpool::bench {

template <typename Value>
class Ring {
  static_assert(std::is_trivially_copyable_v<Value>);

 public:
  [[nodiscard]] bool empty() const { return first_ == end_; }
  [[nodiscard]] std::size_t size() const { return end_ - first_; }
  [[nodiscard]] Value front() const {
    assert(!empty());
    return values_.get()[first_ & mask_];
  }
  void push_back(Value value) {
    if (size() == capacity_) grow();
    values_.get()[end_++ & mask_] = value;
  }
  void pop_front() {
    assert(!empty());
    ++first_;
  }
  void clear() { first_ = end_; }

 private:
  void grow() {
    constexpr std::size_t kFirstCapacity = 16;
    const std::size_t capacity = capacity_ == 0 ? kFirstCapacity : 2 * capacity_;
    std::unique_ptr<Value[]> values(new Value[capacity]);
    for (std::size_t i = first_; i != end_; ++i) values[i & (capacity - 1)] = values_[i & mask_];
    values_ = std::move(values);
    capacity_ = capacity;
    mask_ = capacity - 1;
  }

  std::unique_ptr<Value[]> values_;
  std::size_t capacity_ = 0;  // a power of two, or 0
  std::size_t mask_ = 0;
  std::size_t first_ = 0;  // these two only grow; their lower bits are places
  std::size_t end_ = 0;
};

}  // namespace evpool::bench
