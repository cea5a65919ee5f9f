#include "bench/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "console/write_fully.h"

namespace evpool::bench {
namespace {

std::string error_text() { return std::generic_category().message(errno); }

// False: see errno.
bool write_bytes(int descriptor, const std::string& text) {
  // Devices and pipes have no length.
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return false;
  if (S_ISREG(status.st_mode) && ftruncate(descriptor, 0) != 0) return false;
  return write_fully(descriptor, text) == text.size();
}

}  // namespace

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
  if (path_.empty()) return;
  constexpr mode_t kAsTheUmaskSays = 0666;
  descriptor_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor_ < 0 && errno == ENOENT) {
    descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kAsTheUmaskSays);
    created_ = descriptor_ >= 0;
  }
  if (descriptor_ >= 0) return;
  throw std::invalid_argument(fmt::format(
      "cannot write {}: {} (give a file in a folder that is there and yours to write in)", path_,
      error_text()));
}

OutputFile::~OutputFile() {
  if (created_) unlink(path_.c_str());
  if (descriptor_ >= 0) close(descriptor_);
}

std::string OutputFile::write(const std::string& text) {
  if (descriptor_ < 0) return {};
  created_ = false;
  // Some file systems tell only at the end that there was no room.
  const bool written = write_bytes(descriptor_, text) && close(std::exchange(descriptor_, -1)) == 0;
  if (written) return {};
  return fmt::format("cannot write {}: {}", path_, error_text());
}

std::string write_all(std::initializer_list<std::pair<OutputFile&, std::string>> files) {
  std::string failures;
  for (const auto& [file, text] : files) {
    const std::string failure = file.write(text);
    if (!failure.empty()) failures += (failures.empty() ? "" : "; ") + failure;
  }
  return failures;
}

}  // namespace evpool::bench
