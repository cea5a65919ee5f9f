#include "bench/output_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace evpool::bench {

void write_output_file(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  std::FILE* const file = std::fopen(path.c_str(), "wbe");
  bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr) written = std::fclose(file) == 0 && written;
  if (written) return;
  throw std::runtime_error(fmt::format("cannot write {}: {}", path,
                                       std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace evpool::bench
