// A program's standard input, output and error: there from the start, and told of when they fail.
// Called by main(), before other threads exist.
#pragma once

#include <optional>
#include <string>

namespace evpool {

// What to do about a standard output that was closed when the program began.
enum class ClosedOutput : bool {
  is_an_error,   // writing to it fails, as to any descriptor that is not open for writing
  is_discarded,  // as if it were /dev/null
};

// Opens /dev/null on those of descriptors 0, 1 and 2 that are closed. Otherwise the first socket or
// file that the program opens would take their place, and receive what was meant for them. Reading
// a standard input that was closed fails; what is written to such a standard error is lost. Call it
// first of all.
void open_standard_streams(ClosedOutput closed_output) noexcept;

// Writes what is buffered for standard output. Returns why not all that was ever written there has
// left, such as "No space left on device", or nothing if it has.
[[nodiscard]] std::optional<std::string> flush_standard_output();

}  // namespace evpool
