// Lines from a descriptor, with the question whether the next one is there already.
//
// Bounded: what is kept of a line is at most the longest allowed and one read; a longer line is
// passed over to its end, without being kept. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace evpool {

class LineReader {
 public:
  struct Line {
    std::string text;          // without its end; empty when too long
    std::uintmax_t bytes = 0;  // how long it is, or was
    bool too_long = false;
  };

  explicit LineReader(int descriptor, std::size_t longest = SIZE_MAX)
      : descriptor_(descriptor), longest_(longest) {}

  // The next line; the last one may lack its end. Blocks. None at the end of the input. Throws
  // std::system_error.
  [[nodiscard]] std::optional<Line> next();

  // Whether next() would not block. Takes in what is there. Throws std::system_error.
  [[nodiscard]] bool ready();

  // All that is left; none when that is longer than a line may be: then reading stops there. Blocks
  // until the end of the input. Throws std::system_error.
  [[nodiscard]] std::optional<std::string> rest();

 private:
  [[nodiscard]] bool find_end();
  [[nodiscard]] Line take(std::size_t bytes);
  bool read_more();

  const int descriptor_;
  const std::size_t longest_;
  std::string buffer_;
  std::size_t begin_ = 0;           // of what has not been returned
  std::size_t searched_ = 0;        // no line ends between begin_ and here
  std::uintmax_t passed_over_ = 0;  // bytes of the present line, which is too long
  bool ended_ = false;
};

}  // namespace evpool
