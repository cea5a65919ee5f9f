// Lines from a descriptor, with the question whether the next one is there already.
#pragma once

#include <optional>
#include <string>

namespace evpool {

class LineReader {
 public:
  explicit LineReader(int descriptor) : descriptor_(descriptor) {}

  // The next line without its end; the last one may lack it. Blocks. None at the end of the input.
  // Throws std::system_error.
  [[nodiscard]] std::optional<std::string> next();

  // Whether next() would not block. Takes in what is there. Throws std::system_error.
  [[nodiscard]] bool ready();

  // All that is left. Blocks until the end of the input. Throws std::system_error.
  [[nodiscard]] std::string rest();

 private:
  bool read_more();

  const int descriptor_;
  std::string buffer_;
  std::size_t begin_ = 0;  // of what has not been returned
  bool ended_ = false;
};

}  // namespace evpool
