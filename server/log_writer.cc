#include "server/log_writer.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <string>
#include <system_error>
#include <utility>

#include "console/write_fully.h"
#include "threadpool/futex.h"
#include "threadpool/mutex.h"
#include "threadpool/thread_attributes.h"

namespace evpool {
namespace {

constexpr std::chrono::seconds kLastFlush{1};

// Gives up at an error: there is nowhere to say it.
void write_all(int descriptor, std::string_view bytes) {
  static_cast<void>(write_fully(descriptor, bytes));
}

}  // namespace

class LogWriter::State {
 public:
  explicit State(int descriptor) : descriptor_(descriptor) {
    waiting_.reserve(kMaxWaitingBytes);
    writing_.reserve(kMaxWaitingBytes);
  }

  void add(std::string_view line) noexcept {
    {
      const MutexLock lock(mutex_);
      // After one that is dropped all are, so that the place of the gap is known.
      if (dropped_ > 0 || waiting_.size() + line.size() > kMaxWaitingBytes) {
        ++dropped_;
      } else {
        waiting_ += line;
      }
    }
    changed_.fetch_add(1);
    futex_wake_all(changed_);
  }

  // The thread's: writes until end() was called and nothing waits.
  void run() {
    for (;;) {
      const std::uint32_t seen = changed_.load();
      const std::size_t dropped = take();
      if (writing_.empty() && dropped == 0) {
        if (ending_.load()) return;
        futex_wait(changed_, seen);
        continue;
      }
      write_all(descriptor_, writing_);
      if (dropped > 0) tell_of(dropped);
      written();
    }
  }

  bool wait_until_written(Deadline deadline) {
    for (;;) {
      const std::uint32_t seen = rounds_.load();
      if (is_idle()) return true;
      if (!futex_wait(rounds_, seen, deadline)) return is_idle();
    }
  }

  void end() {
    ending_.store(true);
    changed_.fetch_add(1);
    futex_wake_all(changed_);
  }

 private:
  // Moves what waits to writing_; returns how many lines were dropped after it.
  std::size_t take() {
    const MutexLock lock(mutex_);
    writing_.clear();
    writing_.swap(waiting_);
    busy_ = !writing_.empty() || dropped_ > 0;
    return std::exchange(dropped_, 0);
  }

  void tell_of(std::size_t dropped) const {
    std::array<char, 128> line;
    const auto end = fmt::format_to_n(line.data(), line.size(),
                                      "evpoold: warning: {} log lines were dropped here: standard "
                                      "error was not read in time\n",
                                      dropped);
    write_all(descriptor_, {line.data(), std::min(end.size, line.size())});
  }

  void written() {
    {
      const MutexLock lock(mutex_);
      busy_ = false;
    }
    rounds_.fetch_add(1);
    futex_wake_all(rounds_);
  }

  bool is_idle() {
    const MutexLock lock(mutex_);
    return waiting_.empty() && dropped_ == 0 && !busy_;
  }

  const int descriptor_;
  std::string writing_;  // the thread's

  Mutex mutex_;
  std::string waiting_ EVPOOL_GUARDED_BY(mutex_);
  std::size_t dropped_ EVPOOL_GUARDED_BY(mutex_) = 0;  // after what waits
  bool busy_ EVPOOL_GUARDED_BY(mutex_) = false;        // the thread is writing

  std::atomic<bool> ending_{false};
  FutexWord changed_{0};  // moves when there is something for the thread
  FutexWord rounds_{0};   // moves when the thread has written what it took
};

LogWriter::LogWriter(int descriptor) : state_(std::make_shared<State>(descriptor)) {
  auto share = std::make_unique<std::shared_ptr<State>>(state_);
  const auto run = [](void* argument) -> void* {
    const std::unique_ptr<std::shared_ptr<State>> state(
        static_cast<std::shared_ptr<State>*>(argument));
    (*state)->run();
    return nullptr;
  };
  ThreadAttributes attributes;
  attributes.set_detached();
  const AllSignalsBlocked inherited_by_the_thread;
  pthread_t thread{};
  const int error = pthread_create(&thread, attributes.get(), run, share.get());
  if (error != 0) {
    throw std::system_error(error, std::generic_category(),
                            "cannot start the thread that writes the log (see ulimit -u, the "
                            "cgroup's pids.max)");
  }
  static_cast<void>(share.release());
}

LogWriter::~LogWriter() {
  flush(kLastFlush);
  state_->end();
}

void LogWriter::write(std::string_view line) noexcept { state_->add(line); }

bool LogWriter::flush(std::chrono::milliseconds timeout) noexcept {
  return state_->wait_until_written(std::chrono::steady_clock::now() + timeout);
}

}  // namespace evpool
