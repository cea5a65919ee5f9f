#include "client/poll_until.h"

#include <algorithm>

namespace evpool {

int poll_until(std::span<pollfd> waiting, std::chrono::steady_clock::time_point deadline) {
  using std::chrono::milliseconds;
  const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
  // poll() counts in an int, which a far deadline overflows.
  constexpr milliseconds kLongestWait{60'000};
  return poll(waiting.data(), waiting.size(),
              static_cast<int>(std::clamp(left, milliseconds(0), kLongestWait).count()));
}

}  // namespace evpool
