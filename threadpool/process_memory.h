// Zeroed memory that belongs to the process that mapped it. Pages come into being when they are
// first written, so a large mapping costs nothing before it is used. In a child of fork() the
// kernel makes them all zero again, and is_mine() says false, without a system call.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <system_error>

namespace evpool {

class ProcessMemory {
 public:
  static constexpr std::size_t kPageBytes = 4096;

  // Throws std::system_error.
  explicit ProcessMemory(std::size_t bytes) : bytes_(kPageBytes + bytes) {
    void* const mapped =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) fail(errno, "cannot map");
    if (madvise(mapped, bytes_, MADV_WIPEONFORK) != 0) {
      const int error = errno;
      munmap(mapped, bytes_);
      fail(error, "cannot keep from a forked child");
    }
    mapped_ = static_cast<std::byte*>(mapped);
    *mapped_ = kMine;
  }
  ~ProcessMemory() { munmap(mapped_, bytes_); }
  ProcessMemory(const ProcessMemory&) = delete;
  ProcessMemory& operator=(const ProcessMemory&) = delete;

  // Aligned to a page.
  [[nodiscard]] std::byte* data() const { return mapped_ + kPageBytes; }
  [[nodiscard]] bool is_mine() const { return *mapped_ == kMine; }

 private:
  static constexpr std::byte kMine{1};

  [[noreturn]] void fail(int error, const char* what) const {
    throw std::system_error(
        error, std::generic_category(),
        std::string(what) + " " + std::to_string(bytes_) + " bytes for the pool");
  }

  const std::size_t bytes_;
  std::byte* mapped_ = nullptr;
};

}  // namespace evpool
