// Files that evpool-bench writes beside what it prints.
#pragma once

#include <string>

namespace evpool::bench {

// Nothing when `path` is empty. Throws std::runtime_error with a sentence.
void write_output_file(const std::string& path, const std::string& text);

}  // namespace evpool::bench
