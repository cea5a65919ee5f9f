// Starts a worker's thread, or says in a sentence why it cannot.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <string>

namespace evpool {

struct ThreadPoolOptions;

// "`what` worker 1 of 2".
[[nodiscard]] std::string describe_worker(const char* what, std::size_t number,
                                          std::size_t workers);

// With the stack, the CPU and the signal mask of the options. Throws
// std::bad_alloc, or std::system_error that says which worker, what was wrong, and what to do.
[[nodiscard]] pthread_t start_worker_thread(const ThreadPoolOptions& options, std::size_t number,
                                            void* (*run)(void*), void* argument);

}  // namespace evpool
