// A bounded first-in, first-out queue of tasks for any number of adders and takers, after Dmitry
// Vyukov's bounded MPMC queue (1024cores.net): each cell says, by its turn, whether it is free or
// holds a task, and of which lap; adders claim cells by advancing `tail_`, takers by advancing
// `head_`. Adding is one compare-and-swap, of one task or of many, and so is taking.
//
// A free cell is admission: the ring holds as many tasks as it has cells, and allocates nothing.
//
// Closing is a bit of `tail_`, so that no adder slips in behind it: each claim is either before the
// close, and then its task will be there to take, or refused.
//
// An adder that the kernel suspends between its claim and its store holds up the takers behind it;
// they see that the ring is not empty(), take nothing, and must come back.
#pragma once

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <utility>

#include "threadpool/task.h"
#include "threadpool/yield_point.h"

namespace evpool {

// One cache line. All zero: free for the first lap.
struct alignas(64) TaskCell {
  std::uint64_t turn;  // 2 x lap: free for that lap; 2 x lap + 1: holds that lap's task
  alignas(Task) std::byte task[sizeof(Task)];
};
static_assert(sizeof(TaskCell) == 64);

class TaskRing {
 public:
  // Bits for the index of a cell. Those left for the lap make it wrap, and a stalled thread's
  // compare-and-swap succeed wrongly, only after 2^39 laps: with one cell and 10 million tasks a
  // second, 15 hours during which that thread was not run.
  static constexpr unsigned kIndexBits = 24;
  static constexpr std::size_t kMaxCells = std::size_t{1} << kIndexBits;
  // Every so many cells, a task's time in the ring is measured.
  static constexpr std::uint32_t kSampledCells = 64;

  enum class Refusal : std::uint8_t { none, full, closed };
  struct Added {
    std::size_t tasks = 0;
    Refusal refusal = Refusal::none;  // why it was not all
  };
  struct Taken {
    std::size_t tasks = 0;
    std::uint64_t added_at_ns = 0;  // not 0: there is one task, and this is when it was added
  };

  // Before anything else, once. `cells` and `stamps` (one for each kSampledCells, or part of that)
  // are all zero, and outlive the ring.
  void use(std::span<TaskCell> cells, std::uint64_t* stamps) {
    assert(!cells.empty() && cells.size() <= kMaxCells);
    cells_ = cells.data();
    stamps_ = stamps;
    capacity_ = static_cast<std::uint32_t>(cells.size());
  }

  [[nodiscard]] std::size_t capacity() const { return capacity_; }

  // Moves as many tasks in, from the first on, as there is room for; the others stay.
  Added add(std::span<Task> tasks) {
    std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    std::size_t added = 0;
    while (added < tasks.size()) {
      if ((tail & kClosed) != 0) return {.tasks = added, .refusal = Refusal::closed};
      const std::uint32_t count = count_cells(tail, tasks.size() - added, kFree);
      if (count == 0) {
        // Either the ring is full, or `tail` was old.
        const std::uint64_t now = tail_.load(std::memory_order_relaxed);
        if (now == tail) return {.tasks = added, .refusal = Refusal::full};
        tail = now;
        continue;
      }
      // Sequentially consistent: Parking (parking.h) says which load must not go before it.
      if (!tail_.compare_exchange_weak(tail, advanced(tail, count), std::memory_order_seq_cst,
                                       std::memory_order_relaxed)) {
        continue;
      }
      yield_point();
      note_depth(tail, count);
      for (std::uint32_t i = 0; i < count; ++i) store(advanced(tail, i), tasks[added + i]);
      added += count;
      tail = advanced(tail, count);
    }
    return {.tasks = added};
  }

  // Moves up to `tasks.size()` out, into empty tasks. A task whose time is measured comes alone.
  Taken take(std::span<Task> tasks) {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint32_t count = count_cells(head, tasks.size(), kHolding);
      if (count == 0) {
        const std::uint64_t now = head_.load(std::memory_order_relaxed);
        if (now == head) return {};
        head = now;
        continue;
      }
      // Sequentially consistent: an adder that waits for room relies on it (ThreadPool::add_until).
      if (!head_.compare_exchange_weak(head, advanced(head, count), std::memory_order_seq_cst,
                                       std::memory_order_relaxed)) {
        continue;
      }
      yield_point();
      const std::uint64_t added_at_ns =
          is_sampled(head) ? stamps_[index_of(head) / kSampledCells] : 0;
      for (std::uint32_t i = 0; i < count; ++i) load(advanced(head, i), tasks[i]);
      return {.tasks = count, .added_at_ns = added_at_ns};
    }
  }

  // Tasks claimed by adders and not by takers; a snapshot, exact when nobody adds or takes.
  [[nodiscard]] std::size_t size() const {
    const std::uint64_t head = head_.load();  // first, so that it is behind the tail
    return distance(head, tail_.load());
  }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] bool full() const { return size() >= capacity_; }
  [[nodiscard]] bool closed() const { return (tail_.load() & kClosed) != 0; }

  // At least so many; cheaper for a taker than size(), because it looks at the adders' end only when
  // what it has seen of it does not suffice.
  [[nodiscard]] std::size_t size_at_least(std::size_t enough) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    std::uint64_t tail = seen_tail_.load(std::memory_order_relaxed);
    std::size_t size = distance(head, tail);
    // An old tail may lie behind the head: then the distance is nonsense, and larger than the ring.
    if (size < enough || size > capacity_) {
      tail = tail_.load(std::memory_order_relaxed);
      seen_tail_.store(tail, std::memory_order_relaxed);
      size = distance(head, tail);
    }
    return size > capacity_ ? 0 : size;
  }

  // The most that have waited at once.
  [[nodiscard]] std::size_t high_water() const {
    return high_water_.load(std::memory_order_relaxed);
  }

  void close() { tail_.fetch_or(kClosed); }

  static std::uint64_t now_ns() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
  }

 private:
  static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63U;
  static constexpr std::uint64_t kIndexMask = kMaxCells - 1;
  static constexpr std::uint64_t kLapMask = (std::uint64_t{1} << (63U - kIndexBits)) - 1;
  static constexpr std::uint64_t kFree = 0;
  static constexpr std::uint64_t kHolding = 1;

  // A position: the closed bit, the lap, the index of the cell.
  static std::uint32_t index_of(std::uint64_t position) {
    return static_cast<std::uint32_t>(position & kIndexMask);
  }
  static std::uint64_t lap_of(std::uint64_t position) {
    return (position >> kIndexBits) & kLapMask;
  }
  static bool is_sampled(std::uint64_t position) { return index_of(position) % kSampledCells == 0; }

  [[nodiscard]] std::uint64_t advanced(std::uint64_t position, std::uint32_t cells) const {
    const std::uint32_t index = index_of(position) + cells;
    if (index < capacity_) return position + cells;
    const std::uint64_t next_lap = (lap_of(position) + 1) & kLapMask;
    return (position & kClosed) | next_lap << kIndexBits | (index - capacity_);
  }
  [[nodiscard]] std::size_t distance(std::uint64_t from, std::uint64_t to) const {
    const std::uint64_t laps = (lap_of(to) - lap_of(from)) & kLapMask;
    return laps * capacity_ + index_of(to) - index_of(from);
  }

  // How many cells from `position` on, up to `limit`, are free for or hold a task of their lap.
  [[nodiscard]] std::uint32_t count_cells(std::uint64_t position, std::size_t limit,
                                          std::uint64_t wanted) const {
    const auto most = static_cast<std::uint32_t>(std::min<std::size_t>(limit, capacity_));
    std::uint32_t count = 0;
    while (count < most) {
      if (wanted == kHolding && count > 0 && is_sampled(position)) break;
      const std::atomic_ref<std::uint64_t> turn(cells_[index_of(position)].turn);
      if (turn.load(std::memory_order_acquire) != (lap_of(position) << 1U | wanted)) break;
      ++count;
      if (wanted == kHolding && is_sampled(position)) break;
      position = advanced(position, 1);
    }
    return count;
  }

  void store(std::uint64_t position, Task& task) {
    TaskCell& cell = cells_[index_of(position)];
    if (is_sampled(position)) {
      stamps_[index_of(position) / kSampledCells] = now_ns();
    }
    ::new (static_cast<void*>(cell.task)) Task(std::move(task));
    // Release: who sees the turn sees the task.
    std::atomic_ref(cell.turn).store(lap_of(position) << 1U | kHolding, std::memory_order_release);
  }
  void load(std::uint64_t position, Task& task) {
    TaskCell& cell = cells_[index_of(position)];
    Task* const stored = std::launder(reinterpret_cast<Task*>(cell.task));
    task = std::move(*stored);
    stored->~Task();
    const std::uint64_t next_lap = (lap_of(position) + 1) & kLapMask;
    // Release: who sees the cell free may overwrite it.
    std::atomic_ref(cell.turn).store(next_lap << 1U | kFree, std::memory_order_release);
  }

  // Keeps high_water_ exact and looks at the takers' end only when it may have to grow: the depth
  // against an old head is never too small.
  void note_depth(std::uint64_t tail, std::uint32_t added) {
    const std::size_t high = high_water_.load(std::memory_order_relaxed);
    if (distance(seen_head_.load(std::memory_order_relaxed), tail) + added <= high) return;
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    seen_head_.store(head, std::memory_order_relaxed);
    std::size_t depth = distance(head, tail) + added;
    // A head read after the tail may be ahead of it.
    if (depth > capacity_) return;
    std::size_t highest = high;
    while (depth > highest &&
           !high_water_.compare_exchange_weak(highest, depth, std::memory_order_relaxed)) {
    }
  }

  TaskCell* cells_ = nullptr;
  std::uint64_t* stamps_ = nullptr;
  std::uint32_t capacity_ = 0;

  // The adders' line and the takers' line.
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  std::atomic<std::uint64_t> seen_head_{0};
  std::atomic<std::size_t> high_water_{0};
  alignas(64) std::atomic<std::uint64_t> head_{0};
  std::atomic<std::uint64_t> seen_tail_{0};
};

}  // namespace evpool
