// The pools that the benchmark compares, each behind the same few calls, each used as its own
// documentation says. A bounded pool that is full is waited for by giving way, as an adder that has
// nothing else to do would.
#pragma once

#include <concurrentqueue/blockingconcurrentqueue.h>
#include <sched.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "threadpool/thread_pool.h"

namespace evpool::bench {

inline constexpr std::size_t kCapacityTasks = 4096;
inline constexpr std::size_t kBulkTasks = 32;

class EvpoolPeer {
 public:
  static constexpr const char* kName = "evpool";
  explicit EvpoolPeer(std::size_t workers)
      : pool_(ThreadPool::create({.workers = workers, .capacity_tasks = kCapacityTasks})) {}

  template <typename Callable>
  void add(const Callable& callable) {
    Task task(callable);
    // NOLINTNEXTLINE(bugprone-use-after-move): refused, it stays here
    while (pool_->try_add(std::move(task)) != AddResult::added) sched_yield();
  }
  template <typename Callable>
  void add_bulk(const Callable& callable) {
    std::array<Task, kBulkTasks> tasks;
    for (Task& task : tasks) task = callable;
    std::span<Task> rest = tasks;
    while (rest = rest.subspan(pool_->try_add_bulk(rest).tasks), !rest.empty()) sched_yield();
  }
  [[nodiscard]] ThreadPool& pool() { return *pool_; }

 private:
  std::unique_ptr<ThreadPool> pool_;
};

// Those without a bulk call add one after the other.
template <typename Peer, typename Callable>
void add_bulk_singly(Peer& peer, const Callable& callable) {
  for (std::size_t i = 0; i < kBulkTasks; ++i) peer.add(callable);
}

// An arena of worker threads only; TBB counts the calling thread in its limit.
class TbbPeer {
 public:
  static constexpr const char* kName = "TBB";
  explicit TbbPeer(std::size_t workers)
      : limit_(tbb::global_control::max_allowed_parallelism, workers + 1),
        arena_(static_cast<int>(workers), 0) {
    arena_.initialize();
  }
  template <typename Callable>
  void add(const Callable& callable) {
    arena_.enqueue(callable);
  }
  template <typename Callable>
  void add_bulk(const Callable& callable) {
    add_bulk_singly(*this, callable);
  }

 private:
  tbb::global_control limit_;
  tbb::task_arena arena_;
};

class AsioPeer {
 public:
  static constexpr const char* kName = "Asio";
  explicit AsioPeer(std::size_t workers) : pool_(workers) {}
  ~AsioPeer() { pool_.join(); }
  AsioPeer(const AsioPeer&) = delete;
  AsioPeer& operator=(const AsioPeer&) = delete;

  template <typename Callable>
  void add(const Callable& callable) {
    boost::asio::post(pool_, callable);
  }
  template <typename Callable>
  void add_bulk(const Callable& callable) {
    add_bulk_singly(*this, callable);
  }

 private:
  boost::asio::thread_pool pool_;
};

// libconcurrentqueue with its own semaphore; workers take up to 16 at once when there are many.
class MoodycamelPeer {
 public:
  static constexpr const char* kName = "moodycamel";
  explicit MoodycamelPeer(std::size_t workers) {
    for (std::size_t i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }
  ~MoodycamelPeer() {
    for (std::size_t i = 0; i < threads_.size(); ++i) queue_.enqueue(nullptr);
    for (std::thread& thread : threads_) thread.join();
  }
  MoodycamelPeer(const MoodycamelPeer&) = delete;
  MoodycamelPeer& operator=(const MoodycamelPeer&) = delete;

  template <typename Callable>
  void add(const Callable& callable) {
    queue_.enqueue(std::function<void()>(callable));
  }
  template <typename Callable>
  void add_bulk(const Callable& callable) {
    std::array<std::function<void()>, kBulkTasks> tasks;
    tasks.fill(callable);
    queue_.enqueue_bulk(std::make_move_iterator(tasks.begin()), tasks.size());
  }

 private:
  void work() {
    moodycamel::ConsumerToken token(queue_);
    std::array<std::function<void()>, 16> tasks;
    for (bool ended = false; !ended;) {
      const std::size_t taken = queue_.wait_dequeue_bulk(token, tasks.begin(), tasks.size());
      for (std::size_t i = 0; i < taken; ++i) {
        if (tasks[i]) {
          tasks[i]();
        } else if (std::exchange(ended, true)) {
          queue_.enqueue(nullptr);  // another worker's end
        }
      }
    }
  }
  moodycamel::BlockingConcurrentQueue<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
};

// What one writes in an afternoon: a mutex, a condition variable, a deque of std::function.
class TextbookPeer {
 public:
  static constexpr const char* kName = "textbook";
  explicit TextbookPeer(std::size_t workers) {
    for (std::size_t i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }
  ~TextbookPeer() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  TextbookPeer(const TextbookPeer&) = delete;
  TextbookPeer& operator=(const TextbookPeer&) = delete;

  template <typename Callable>
  void add(const Callable& callable) {
    {
      const std::lock_guard lock(mutex_);
      queue_.emplace_back(callable);
    }
    changed_.notify_one();
  }
  template <typename Callable>
  void add_bulk(const Callable& callable) {
    {
      const std::lock_guard lock(mutex_);
      queue_.insert(queue_.end(), kBulkTasks, callable);
    }
    changed_.notify_all();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ended_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const std::function<void()> task = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace evpool::bench
