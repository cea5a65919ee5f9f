// Gives memory back to the system once load has gone. malloc keeps what is freed among blocks that
// are still in use, for ever: a thousand peers that did not read their replies left gigabytes
// behind when they had closed.
//
// Those that free much say so. When enough has come together, the owner is called, once, and then
// looks about every second: memory is given back in the first interval in which little was freed.
// While much is being freed, as much is being taken again, and would have to be had anew. So a
// server under load pays an addition for each large block, and an idle one nothing.
//
// Any thread, but for what says otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <utility>

namespace evpool {

class MemoryReturn {
 public:
  // Less is not worth the work, which is about 0.1 s for each GiB.
  static constexpr std::size_t kWorthBytes = std::size_t{64} << 20U;
  // Freed between two looks: more is load.
  static constexpr std::size_t kCalmBytes = std::size_t{16} << 20U;
  static constexpr std::chrono::seconds kLookInterval{1};

  // `on_worth` is called, on any thread, when it has become worth looking. Before other threads
  // use this.
  void set_owner(std::function<void()> on_worth) { on_worth_ = std::move(on_worth); }

  void count_freed(std::size_t bytes) noexcept {
    const std::size_t before = freed_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (before < kWorthBytes && before + bytes >= kWorthBytes && on_worth_) on_worth_();
  }

  // The owner's thread, kLookInterval after on_worth and after each look that says no: whether load
  // has gone. If so, counting begins anew, and the memory is to be given back.
  [[nodiscard]] bool look();

  // Gives back what malloc has free, to the page. Its lock may hold up threads that need memory.
  static void give_back();

 private:
  std::function<void()> on_worth_;
  std::atomic<std::size_t> freed_bytes_{0};
  std::size_t at_last_look_bytes_ = 0;  // the owner's thread
};

}  // namespace evpool
