// What a result must be read with: how it was asked for, what was measured, and on which machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace evpool::bench {

// Names and values in the order in which they are to be shown. "flags" are those of the generator;
// "server flags" and "threadpool flags" those of the parts of the evpoold that was built with it.
// No value is empty: what could not be read is not there.
struct Provenance {
  std::vector<std::pair<std::string, std::string>> facts;
};

// Reads /proc and /sys; never fails. `arguments`: how the program was called. `seed`: none where
// nothing is drawn at random.
[[nodiscard]] Provenance collect_provenance(const std::vector<std::string>& arguments,
                                            std::optional<std::uint64_t> seed);
// This program's, as /proc/self/cmdline has them.
[[nodiscard]] std::vector<std::string> own_arguments();

// The arguments as a line that a POSIX shell splits into them again.
[[nodiscard]] std::string shell_quoted(const std::vector<std::string>& arguments);

}  // namespace evpool::bench
