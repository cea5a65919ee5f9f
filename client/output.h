// The standard output of evpool: replies, buffered, and told of exactly when it fails. Not stdio,
// which forgets what a failed write has already passed on. One thread.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace evpool {

// "cannot write to standard output: No space left on device"
class OutputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Output {
 public:
  // Writes to the descriptor, which stays the caller's.
  explicit Output(int descriptor);

  // On a terminal, what comes from elsewhere must be escaped (console/printable.h).
  [[nodiscard]] bool is_terminal() const { return terminal_; }

  // Appends the text, which completes a reply. The first reply is written at once, so that an
  // output that takes nothing is noticed before many jobs have run. Throws OutputError.
  void reply(std::string_view text);

  // Writes all. Blocks while the reader does not read, whether the descriptor blocks or not. Throws
  // OutputError.
  void flush();

  // Replies that have been written whole, also after a failure.
  [[nodiscard]] std::size_t written_replies() const { return written_replies_; }

 private:
  void write_all(std::string_view bytes);

  const int descriptor_;
  const bool terminal_;
  std::string buffer_;
  std::vector<std::size_t> ends_;  // of the replies in buffer_
  std::size_t written_replies_ = 0;
};

}  // namespace evpool
