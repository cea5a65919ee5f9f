#include "bench/markdown_table.h"

#include <fmt/format.h>

namespace evpool::bench {

MarkdownTable::MarkdownTable(const std::vector<std::string>& columns) {
  add(columns);
  std::vector<std::string> ruler(columns.size(), "---:");
  ruler.front() = "---";
  add(ruler);
}

void MarkdownTable::add(const std::vector<std::string>& cells) {
  text_ += '|';
  for (const std::string& cell : cells) text_ += fmt::format(" {} |", cell);
  text_ += '\n';
}

}  // namespace evpool::bench
