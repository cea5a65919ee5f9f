// What several of the bench's threads ask of the system. Thread-safe.
#pragma once

namespace evpool::bench {

// Throws std::runtime_error: "cannot receive: Connection reset by peer", after errno.
[[noreturn]] void throw_errno(const char* what);

// Processor time of the calling thread.
[[nodiscard]] double thread_cpu_seconds();

}  // namespace evpool::bench
