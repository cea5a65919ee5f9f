// Blocks of memory of one size, kept for reuse: what a future and its task share comes from here,
// so that submitting allocates nothing in the long run. Any thread may call anything.
//
// Futures hold it, and may outlive their pool; so the pool's count of spent tasks, which they
// raise, is within their reach here.
#pragma once

#include <cstddef>
#include <memory>

#include "spent_tasks.h"

namespace evpool {

class BlockPool {
 public:
  static constexpr std::size_t kBlockBytes = 256;
  static constexpr std::size_t kKeptBlocks = 1024;

  // Throws std::bad_alloc, or std::system_error for its mark of the process.
  explicit BlockPool(std::shared_ptr<SpentTasks> spent);
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // `bytes`, aligned for anything; more than kBlockBytes come from the heap. Throws std::bad_alloc.
  [[nodiscard]] void* allocate(std::size_t bytes);
  void release(void* block, std::size_t bytes) noexcept;

  // False in a child of fork().
  [[nodiscard]] bool is_mine() const;

  [[nodiscard]] SpentTasks& spent_tasks() { return *spent_; }

 private:
  struct FreeBlocks;
  const std::unique_ptr<FreeBlocks> free_;
  const std::shared_ptr<SpentTasks> spent_;
};

}  // namespace evpool
