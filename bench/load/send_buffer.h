// Bytes on their way into a stream: written at the end, sent from the beginning. Unlike a
// std::string it does not write zeroes where requests are going to be written. One thread.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace evpool::bench {

class SendBuffer {
 public:
  SendBuffer() = default;
  SendBuffer(SendBuffer&& other) noexcept { swap(other); }
  SendBuffer& operator=(SendBuffer&& other) noexcept {
    SendBuffer(std::move(other)).swap(*this);
    return *this;
  }
  ~SendBuffer() = default;

  // Where the caller has to write as many bytes, before anything else is done here.
  [[nodiscard]] char* extend(std::size_t bytes) {
    if (capacity_ - end_ < bytes) make_room(bytes);
    return &memory_[std::exchange(end_, end_ + bytes)];
  }
  SendBuffer& append(std::string_view text) {
    if (!text.empty()) std::memcpy(extend(text.size()), text.data(), text.size());
    return *this;
  }
  void push_back(char byte) { *extend(1) = byte; }

  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  // Valid until something is written.
  [[nodiscard]] std::string_view unsent() const { return {memory_.get() + begin_, size()}; }
  void sent(std::size_t bytes) {
    assert(bytes <= size());
    begin_ += bytes;
    if (empty()) clear();
  }
  void clear() { begin_ = end_ = 0; }

  [[nodiscard]] bool has_memory() const { return capacity_ > 0; }
  void swap(SendBuffer& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(capacity_, other.capacity_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
  }

 private:
  void make_room(std::size_t bytes) {
    constexpr std::size_t kFirstCapacity = std::size_t{4} << 10U;
    // What has been sent is given up once it is the larger part, so that each byte moves once.
    if (begin_ * 2 < end_ || capacity_ - size() < bytes) {
      std::size_t capacity = std::max(kFirstCapacity, capacity_);
      while (capacity < size() + bytes) capacity *= 2;
      std::unique_ptr<char[]> memory(new char[capacity]);
      if (!empty()) std::memcpy(memory.get(), memory_.get() + begin_, size());
      memory_ = std::move(memory);
      capacity_ = capacity;
    } else if (!empty()) {
      std::memmove(memory_.get(), memory_.get() + begin_, size());
    }
    end_ -= std::exchange(begin_, 0);
  }

  std::unique_ptr<char[]> memory_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  // of what is unsent
  std::size_t end_ = 0;
};

}  // namespace evpool::bench
