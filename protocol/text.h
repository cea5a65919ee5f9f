// The wire format for people: one line, one job. See docs/protocol.md, "Text lines".
//
// LineSplitter is used by one thread at a time; the functions are thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "constants.h"

namespace evpool {

// A longer line is refused; its bytes are skipped up to its end. Text is for people and scripts;
// anything larger belongs into a frame.
inline constexpr std::size_t kMaxTextLineBytes = std::size_t{64} << 10U;

struct TextRequest {
  std::string_view job;
  std::string_view payload;  // what follows the first space; may be empty
};

// REQUIRES: `line` is without its line end. The views point into it.
[[nodiscard]] TextRequest parse_text_request(std::string_view line);

// An answer is a head, the payload and a line end. Appends the head: nothing when the status is ok,
// else "ERR status" and a space if a message follows. The message's line ends become spaces, so
// that an error is always one line.
void append_text_head(Status status, std::string& payload, std::string& out);

// Cuts a stream of bytes, arriving in any pieces, into lines ended by LF or CR LF. Empty lines are
// passed over. Keeps at most kMaxTextLineBytes, and, after hold_input(), what was pushed last.
class LineSplitter {
 public:
  enum class Item : std::uint8_t {
    need_more,  // everything pushed has been consumed
    line,       // `line` holds the next one
    too_long,   // a line over the limit was begun and is being skipped
    no_memory,  // likewise, for want of memory to keep its beginning
  };

  // REQUIRES: the previous bytes are consumed; `bytes` stays valid until next() says need_more or
  // hold_input() is called.
  void push(std::string_view bytes);
  // Copies what next() has not consumed yet, so that the memory it was pushed from may be used
  // again.
  void hold_input();
  // Says that no more bytes follow: what is kept is the last line. Then call next() to the end.
  void finish();
  // `line` is valid until the next call.
  [[nodiscard]] Item next(std::string_view& line);

  [[nodiscard]] bool inside_line() const { return skipping_ || !kept_.empty(); }

 private:
  void skip_empty_lines();
  [[nodiscard]] Item next_raw(std::string_view& line);
  [[nodiscard]] bool keep(std::string_view piece) noexcept;

  std::string_view input_;
  std::string held_input_;  // where input_ is after hold_input()
  std::string kept_;        // the beginning of a line that comes before input_
  std::string line_;        // the line last returned, when it had to be joined
  bool skipping_ = false;
  bool finished_ = false;
};

}  // namespace evpool
