// The memory of large payloads that have been sent, for those that come next. Faulting it in anew,
// page by page, costs more than all else that is done with them: of a job of 64 MiB it was six
// sevenths of the CPU time. malloc would keep it too, but let small blocks have parts of it, and
// then the next large one does not fit.
//
// Bounded by bytes and by number, and emptied when load has gone (memory_return.h). Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "protocol/frame_splitter.h"
#include "server/memory_return.h"
#include "threadpool/mutex.h"

namespace evpool {

class SpareBodies final : public BodySource {
 public:
  static constexpr std::size_t kMaxKeptBytes = std::size_t{256} << 20U;

  SpareBodies();
  std::string take(std::size_t bytes) override;
  // What is too small to matter, or would be over the bound, is freed.
  void give_back(std::string body) noexcept;
  // Frees all that is kept.
  void clear();
  [[nodiscard]] std::size_t kept_bytes();

  // Where those who free the memory of payloads and replies say so.
  [[nodiscard]] MemoryReturn& memory() { return memory_; }

 private:
  static constexpr std::size_t kMaxKept = 64;
  static constexpr std::size_t kLeastBytes = std::size_t{64} << 10U;
  // A payload is not given memory that it would leave mostly unused.
  static constexpr std::size_t kMostTimesLarger = 2;

  [[nodiscard]] bool keep(std::string& body);
  [[nodiscard]] std::string take_oldest();

  MemoryReturn memory_;
  Mutex mutex_;
  std::vector<std::string> kept_ EVPOOL_GUARDED_BY(mutex_);  // the oldest first
  std::size_t kept_bytes_ EVPOOL_GUARDED_BY(mutex_) = 0;
};

}  // namespace evpool
