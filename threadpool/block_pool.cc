#include "threadpool/block_pool.h"

#include <boost/lockfree/policies.hpp>
#include <boost/lockfree/stack.hpp>
#include <new>
#include <utility>

#include "threadpool/process_memory.h"

namespace evpool {

// Last in, first out: the block released last is the likeliest to be in a cache. With its nodes in
// place the stack allocates nothing, and its construction cannot fail half-way.
struct BlockPool::FreeBlocks {
  boost::lockfree::stack<void*, boost::lockfree::capacity<kKeptBlocks>> stack;
  const ProcessMemory mark{0};
};

BlockPool::BlockPool(std::shared_ptr<SpentTasks> spent)
    : free_(std::make_unique<FreeBlocks>()), spent_(std::move(spent)) {}

BlockPool::~BlockPool() {
  free_->stack.consume_all([](void* block) { ::operator delete(block); });
}

void* BlockPool::allocate(std::size_t bytes) {
  if (bytes > kBlockBytes) return ::operator new(bytes);
  void* block = nullptr;
  return free_->stack.pop(block) ? block : ::operator new(kBlockBytes);
}

void BlockPool::release(void* block, std::size_t bytes) noexcept {
  if (bytes > kBlockBytes || !free_->stack.bounded_push(block)) ::operator delete(block);
}

bool BlockPool::is_mine() const { return free_->mark.is_mine(); }

}  // namespace evpool
