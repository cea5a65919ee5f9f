// What a program says on standard error to the person who runs it.
//
// A diagnostic is never graver than its subject: when standard error is full, closed, or a pipe
// that nobody reads any more, the message is lost and nothing else happens. No exception, no
// SIGPIPE, no change of errno. Thread-safe; a line is written whole.
#pragma once

#include <string_view>

namespace evpool {

// Writes "program: text" and a line end. Control characters in the text are escaped, so that it is
// one line and harmless to a terminal (printable.h).
void complain(std::string_view program, std::string_view text) noexcept;

// Writes the text as it is: lines of our own words, each with its end.
void say(std::string_view lines) noexcept;

}  // namespace evpool
