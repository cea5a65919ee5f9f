// What several of the bench's threads ask of the system. Thread-safe.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

namespace evpool::bench {

// Throws std::runtime_error: "cannot receive: Connection reset by peer", after errno.
[[noreturn]] void throw_errno(const char* what);
// Throws std::runtime_error that says so, why, and what to do.
[[noreturn]] void throw_no_thread(const char* what, const std::system_error& error);

// Calls `body` with `arguments` in a thread of its own, which is `what` in the std::runtime_error
// when there can be no more threads.
template <typename Body, typename... Arguments>
[[nodiscard]] std::thread start_thread(const char* what, Body&& body, Arguments&&... arguments) {
  try {
    return std::thread(std::forward<Body>(body), std::forward<Arguments>(arguments)...);
  } catch (const std::system_error& error) {
    throw_no_thread(what, error);
  }
}

// Processor time of the calling thread.
[[nodiscard]] double thread_cpu_seconds();

}  // namespace evpool::bench
