// Writing a text to a descriptor, to its end. Thread-safe.
#pragma once

#include <cstddef>
#include <string_view>

namespace evpool {

// Writes all of the bytes. Waits while nobody reads, also if the descriptor is non-blocking: it may
// be shared with somebody who has made it so. Returns how many were written; if that is not all,
// errno says why.
[[nodiscard]] std::size_t write_fully(int descriptor, std::string_view bytes) noexcept;

}  // namespace evpool
