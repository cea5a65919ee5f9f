// Bytes that came from elsewhere (a peer, a job, a file), made safe to show to a person. A terminal
// obeys control characters: printed as they are, a reply could move the cursor, rename the window
// or forge a line of ours. Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace evpool {

// The text on one line. Control characters (C0, DEL, C1, and the Unicode ones that break lines or
// reverse the direction of writing) and bytes that are not UTF-8 become escapes: \n, \x1b, \u202e.
// Everything else stays as it is, the backslash included.
[[nodiscard]] std::string printable(std::string_view bytes);

// As printable(), but line feeds and tabs stay: a text of several lines.
[[nodiscard]] std::string printable_lines(std::string_view bytes);

// JSON text, in which what printable() would escape becomes JSON's own escapes (\u009b), so that
// the value stays the same. REQUIRES: valid JSON on one line, without spaces between the tokens but
// blanks; then such characters occur within strings only.
[[nodiscard]] std::string printable_json(std::string_view json);

}  // namespace evpool
