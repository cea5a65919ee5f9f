// The pool's mmap, munmap and madvise, for the whole test program: counted, and made to fail. The
// program is linked with --wrap for each of them.
#pragma once

#include <atomic>

namespace evpool {

inline std::atomic<int> maps_held{0};
// The next call fails.
inline std::atomic<bool> mmap_fails{false};
inline std::atomic<bool> madvise_fails{false};

}  // namespace evpool
