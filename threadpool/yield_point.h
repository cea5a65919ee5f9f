// Marks a place where another thread's step would hurt most. The stress test's build gives the
// processor away there now and then; every other build compiles it to nothing.
#pragma once

#ifdef EVPOOL_INJECT_YIELDS
#include <sched.h>

#include <cstdint>

namespace evpool {
inline void yield_point() {
  thread_local std::uint32_t random = static_cast<std::uint32_t>(
      reinterpret_cast<std::uintptr_t>(&random) >> 4U | 1U);  // each thread its own
  random ^= random << 13U;                                    // xorshift32 (Marsaglia, 2003)
  random ^= random >> 17U;
  random ^= random << 5U;
  if (random % 8 == 0) sched_yield();
}
}  // namespace evpool
#else
namespace evpool {
inline void yield_point() {}
}  // namespace evpool
#endif
