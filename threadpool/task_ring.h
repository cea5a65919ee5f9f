// A bounded first-in, first-out queue of tasks for any number of adders and takers, after Dmitry
// Vyukov's bounded MPMC queue (1024cores.net): positions count up for ever, adders claim them by
// advancing `tail_`, takers by advancing `head_`, and each cell says, by its turn, which position
// it is free for or holds. Adding is one compare-and-swap, of one task or of many, and so is
// taking.
//
// The ring holds as many tasks as its capacity says, and allocates nothing.
//
// Closing is a bit of `tail_`, so that no adder slips in behind it: each claim is either before the
// close, and then its task will be there to take, or refused.
//
// An adder that the kernel suspends between its claim and its store holds up the takers behind it;
// they see that the ring is not empty(), take nothing, and must come back. A taker that is
// suspended there makes adders find the ring full a moment longer. For a sweep (task_ring_sweep.h)
// the ring stands still in the same way: takers find nothing until it is done.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
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

// One cache line.
struct alignas(64) TaskCell {
  // position - index: free for that position; position - index + 1: holds that position's task. So
  // a ring of zeroes is empty.
  std::uint64_t turn;
  alignas(Task) std::byte task[sizeof(Task)];
};
static_assert(sizeof(TaskCell) == 64);

struct SweptTasks;

class TaskRing {
 public:
  // Every so many positions, a task's time in the ring is measured: seldom enough for the two looks
  // at the clock to vanish beside the tasks between.
  static constexpr std::uint64_t kSampledTasks = 256;

  enum class Refusal : std::uint8_t { none, full, closed };
  struct Added {
    std::size_t tasks = 0;
    Refusal refusal = Refusal::none;  // why it was not all
  };

  // Two at least: with one, a cell that holds a task and one that is free for the next have the
  // same turn.
  static std::size_t cells_for(std::size_t capacity) {
    return std::bit_ceil(std::max<std::size_t>(capacity, 2));
  }
  static std::size_t stamps_for(std::size_t capacity) {
    return cells_for(capacity) / kSampledTasks + 1;
  }

  // Before anything else, once: cells_for(capacity) cells and stamps_for(capacity) stamps, all
  // zero, that outlive the ring.
  void use(std::size_t capacity, TaskCell* cells, std::uint64_t* stamps) {
    assert(capacity > 0);
    capacity_ = capacity;
    mask_ = cells_for(capacity) - 1;
    cells_ = cells;
    stamps_ = stamps;
  }

  // Moves as many tasks in, from the first on, as there is room for; the others stay.
  Added add(std::span<Task> tasks) {
    std::size_t added = 0;
    std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    while (added < tasks.size()) {
      if ((tail & kClosed) != 0) return {.tasks = added, .refusal = Refusal::closed};
      const std::size_t count = count_free(tail, tasks.size() - added);
      if (count == 0) {
        // Either the ring is full, or `tail` was old.
        const std::uint64_t now = tail_.load(std::memory_order_relaxed);
        if (now == tail) return {.tasks = added, .refusal = Refusal::full};
        tail = now;
        continue;
      }
      // Sequentially consistent: Parking (parking.h) says which load must not go before it.
      if (!tail_.compare_exchange_weak(tail, tail + count, std::memory_order_seq_cst,
                                       std::memory_order_relaxed)) {
        continue;
      }
      yield_point();
      note_depth(tail + count);
      const std::uint64_t first_sampled = (tail + kSampledTasks - 1) & ~(kSampledTasks - 1);
      for (auto at = first_sampled; at < tail + count; at += kSampledTasks) stamp(at) = now_ns();
      for (Task& task : tasks.subspan(added, count)) store(tail++, task);
      added += count;
    }
    return {.tasks = added};
  }

  // One, as add() would; most tasks come alone, and the plain case of it is short.
  Refusal add_one(Task& task) {
    std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    // A closed ring's tail is beyond any high water. See add() for the memory orders.
    const bool plain = tail % kSampledTasks != 0 && is_within_high_water(tail) && is_free(tail) &&
                       tail_.compare_exchange_strong(tail, tail + 1, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed);
    if (!plain) return add({&task, 1}).refusal;
    yield_point();
    store(tail, task);
    return Refusal::none;
  }

  // Taking has three steps, because giving the cells back are stores that another core must agree
  // to, and a locked instruction between them and the next task would wait for all: claim, move
  // out, do what is to be done at once, give back.
  struct Claim {
    std::size_t tasks = 0;
    std::uint64_t position = 0;     // of the first
    std::uint64_t added_at_ns = 0;  // not 0: there is one task, and this is when it was added
  };
  // Of the oldest, up to `limit`. A task whose time is measured comes alone.
  Claim claim(std::size_t limit) {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    for (;;) {
      const std::size_t count = count_holding(head, limit);
      if (count == 0) {
        // Either nothing is there, or `head` was old.
        const std::uint64_t now = head_without_sweep();
        if (now == head || (now & kSwept) != 0) return {};
        head = now;
        continue;
      }
      // Sequentially consistent: an adder that waits for room relies on it (ThreadPool::add_until).
      if (head_.compare_exchange_weak(head, head + count, std::memory_order_seq_cst,
                                      std::memory_order_relaxed)) {
        yield_point();
        return {.tasks = count,
                .position = head,
                .added_at_ns = head % kSampledTasks == 0 ? stamp(head) : 0};
      }
    }
  }
  // Into `claim.tasks` empty tasks.
  void move_out(const Claim& claim, Task* tasks) const {
    for (std::size_t i = 0; i < claim.tasks; ++i)
      tasks[i].relocate_from(stored(claim.position + i));
  }
  void give_back(const Claim& claim) {
    for (std::uint64_t at = claim.position; at < claim.position + claim.tasks; ++at) {
      // Release: who sees the cell free may overwrite it.
      turn(at).store(free_turn(at) + mask_ + 1, std::memory_order_release);
    }
  }
  // All steps for one.
  Claim take(Task& task) {
    const Claim claimed = claim_one();
    move_out(claimed, &task);
    give_back(claimed);
    return claimed;
  }

  // The cheapest look: wrong for a moment while others add and take, and never true when closed.
  [[nodiscard]] bool seems_empty() const {
    return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_relaxed);
  }

  // Tasks claimed by adders and not by takers; a snapshot, exact when nobody adds or takes.
  [[nodiscard]] std::size_t size() const {
    const std::uint64_t head = head_.load() & ~kSwept;  // first, so that it is behind the tail
    return (tail_.load() & ~kClosed) - head;
  }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] bool full() const { return size() >= capacity_; }
  [[nodiscard]] bool closed() const { return (tail_.load() & kClosed) != 0; }

  // For a taker: at least so many wait. Cheaper than size(), because it looks at the adders' line
  // only when what it has seen of it does not suffice.
  [[nodiscard]] std::size_t size_at_least(std::size_t enough) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    std::uint64_t tail = seen_tail_.load(std::memory_order_relaxed);
    if (tail < head + enough) {
      tail = tail_.load(std::memory_order_relaxed) & ~kClosed;
      seen_tail_.store(tail, std::memory_order_relaxed);
    }
    return tail > head ? tail - head : 0;
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
  // Beyond any position: at a task each nanosecond, 292 years.
  static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63U;
  // Of `head_`: no cell holds such a position, so nobody can take.
  static constexpr std::uint64_t kSwept = std::uint64_t{1} << 62U;
  // A few microseconds.
  static constexpr int kLooksAtSweep = 5000;

  friend SweptTasks sweep(TaskRing& ring, std::span<Task> room);

  [[nodiscard]] std::atomic_ref<std::uint64_t> turn(std::uint64_t position) const {
    return std::atomic_ref(cells_[position & mask_].turn);
  }
  // What the turn is when the cell is free for `position`.
  [[nodiscard]] std::uint64_t free_turn(std::uint64_t position) const { return position & ~mask_; }
  [[nodiscard]] std::uint64_t& stamp(std::uint64_t position) const {
    return stamps_[(position & mask_) / kSampledTasks];
  }

  // The head once no sweep is going on; with kSwept if one takes long. A taker that gave its
  // processor away instead would not have it back before others have used up their time.
  [[nodiscard]] std::uint64_t head_without_sweep() const {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    for (int looks = 0; (head & kSwept) != 0 && looks < kLooksAtSweep; ++looks) {
      head = head_.load(std::memory_order_relaxed);
    }
    return head;
  }

  [[nodiscard]] bool is_free(std::uint64_t position) const {
    return turn(position).load(std::memory_order_acquire) == free_turn(position);
  }
  [[nodiscard]] bool holds_task(std::uint64_t position) const {
    return turn(position).load(std::memory_order_acquire) == free_turn(position) + 1;
  }

  // Whether the depth stays within what it has been, and so within the capacity, when a task is
  // added at `tail`. Looks at the takers' line only when what was seen of it does not show that.
  bool is_within_high_water(std::uint64_t tail) {
    const std::size_t high = high_water_.load(std::memory_order_relaxed);
    if (tail - seen_head_.load(std::memory_order_relaxed) < high) return true;
    const std::uint64_t head = head_.load(std::memory_order_relaxed) & ~kSwept;
    if (tail - head >= high) return false;  // also where `tail` is older than `head`
    seen_head_.store(head, std::memory_order_relaxed);
    return true;
  }

  // The plain case of claim(1), and then that.
  Claim claim_one() {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    const bool plain = head % kSampledTasks != 0 && holds_task(head) &&
                       head_.compare_exchange_strong(head, head + 1, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed);
    if (!plain) return claim(1);
    yield_point();
    return {.tasks = 1, .position = head};
  }

  // How many positions from `tail` on can be claimed, up to `limit`: for which there is room, and
  // whose cells the takers have given back. Looks at the takers' line only when what was seen of
  // it does not show that the depth stays within the high water, and so within the capacity.
  std::size_t count_free(std::uint64_t tail, std::size_t limit) {
    std::uint64_t head = seen_head_.load(std::memory_order_relaxed);
    const std::size_t high = high_water_.load(std::memory_order_relaxed);
    if (tail + limit - head > high) {
      head = head_.load(std::memory_order_relaxed) & ~kSwept;
      if (head > tail) return 0;  // an old tail
      seen_head_.store(head, std::memory_order_relaxed);
      limit = std::min(limit, capacity_ - std::min(capacity_, tail - head));
    }
    std::size_t count = 0;
    while (count < limit && is_free(tail + count)) ++count;
    return count;
  }
  // Keeps high_water_ exact: the depth against an older head is never too small.
  void note_depth(std::uint64_t tail) {
    std::size_t high = high_water_.load(std::memory_order_relaxed);
    if (tail - seen_head_.load(std::memory_order_relaxed) <= high) return;
    const std::size_t depth = tail - (head_.load(std::memory_order_relaxed) & ~kSwept);
    while (depth > high &&
           !high_water_.compare_exchange_weak(high, depth, std::memory_order_relaxed)) {
    }
  }
  [[nodiscard]] std::size_t count_holding(std::uint64_t head, std::size_t limit) const {
    const std::uint64_t before_sampled = kSampledTasks - head % kSampledTasks;
    limit = before_sampled == kSampledTasks ? 1 : std::min<std::size_t>(limit, before_sampled);
    std::size_t count = 0;
    while (count < limit && holds_task(head + count)) ++count;
    return count;
  }

  void store(std::uint64_t position, Task& task) {
    assert(static_cast<bool>(task) && "an empty task cannot be added");
    ::new (static_cast<void*>(cells_[position & mask_].task)) Task(std::move(task));
    // Release: who sees the turn sees the task.
    turn(position).store(free_turn(position) + 1, std::memory_order_release);
  }
  [[nodiscard]] Task& stored(std::uint64_t position) const {
    return *std::launder(reinterpret_cast<Task*>(cells_[position & mask_].task));
  }

  std::size_t capacity_ = 0;
  std::uint64_t mask_ = 0;  // cells - 1
  TaskCell* cells_ = nullptr;
  std::uint64_t* stamps_ = nullptr;

  // The adders' line and the takers' line.
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  std::atomic<std::uint64_t> seen_head_{0};
  std::atomic<std::size_t> high_water_{0};
  alignas(64) std::atomic<std::uint64_t> head_{0};
  std::atomic<std::uint64_t> seen_tail_{0};
};

}  // namespace evpool
