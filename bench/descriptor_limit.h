// How many files and connections this process may have open.
#pragma once

#include <cstddef>

namespace evpool::bench {

// Lets this process, and what it starts, have as many descriptors as the system allows: each
// connection is one. Throws std::invalid_argument, which says how many are needed and how to have
// them, when those are too few for `connections` at once and `threads`.
void require_descriptors(std::size_t connections, std::size_t threads = 1);

}  // namespace evpool::bench
