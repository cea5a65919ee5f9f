// A table for people and for Markdown alike. One thread.
#pragma once

#include <string>
#include <vector>

namespace evpool::bench {

class MarkdownTable {
 public:
  // The first column's cells stand at the left, all others at the right.
  explicit MarkdownTable(const std::vector<std::string>& columns);

  void add(const std::vector<std::string>& cells);
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace evpool::bench
