// Files that evpool-bench writes beside what it prints.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

namespace evpool::bench {

// A file that is written once, when what it tells of is over, and opened before that begins: a
// path that cannot be written is refused at once, and not after an hour of measuring. What was in
// it stays there until then; a file that was not there before, and is not written, is removed. One
// thread.
class OutputFile {
 public:
  // No file when `path` is empty. Throws std::invalid_argument with a sentence.
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Empty when it has been written, or is none; otherwise a sentence that says why not. Not to be
  // called twice.
  [[nodiscard]] std::string write(const std::string& text);

 private:
  const std::string path_;
  int descriptor_ = -1;
  bool created_ = false;  // and not yet written
};

// All of them, whichever fail: empty, or what there is to say of those that do.
[[nodiscard]] std::string write_all(
    std::initializer_list<std::pair<OutputFile&, std::string>> files);

}  // namespace evpool::bench
