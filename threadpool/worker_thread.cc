#include "threadpool/worker_thread.h"

#include <cerrno>
#include <optional>
#include <system_error>

#include "threadpool/thread_attributes.h"
#include "threadpool/thread_pool.h"
#include "threadpool/usable_cpus.h"

namespace evpool {
namespace {

// What pthread_create's error means, and where to look. The kernel says EINVAL for a CPU that the
// thread may not have, and EAGAIN for every limit, on memory for the stack too.
std::string explain(int error, std::optional<int> cpu) {
  if (error == EINVAL && cpu) {
    return " on CPU " + std::to_string(*cpu) + ": it does not exist or is not allowed; " +
           describe_cpus() + " (choose ThreadPoolOptions::cpus among them)";
  }
  if (error == EAGAIN || error == ENOMEM) {
    return ": a limit on threads or on stack memory is reached (see ulimit -u, ulimit -v, the"
           " cgroup's pids.max; fewer workers need less)";
  }
  if (error == EPERM) return ": this process may not start such a thread (a sandbox forbids it?)";
  return "";
}

}  // namespace

std::string describe_worker(const char* what, std::size_t number, std::size_t workers) {
  return std::string(what) + " worker " + std::to_string(number + 1) + " of " +
         std::to_string(workers);
}

pthread_t start_worker_thread(const ThreadPoolOptions& options, std::size_t number,
                              void* (*run)(void*), void* argument) {
  const std::string sentence = describe_worker("cannot start", number, options.workers);
  ThreadAttributes attributes;
  if (options.stack_bytes != 0) attributes.set_stack(options.stack_bytes);
  std::optional<int> cpu;
  if (!options.cpus.empty()) {
    cpu = options.cpus[number % options.cpus.size()];
    attributes.set_cpu(*cpu);
  }
  std::optional<AllSignalsBlocked> inherited_by_the_worker;
  if (options.block_signals) inherited_by_the_worker.emplace();
  pthread_t thread{};
  const int error = pthread_create(&thread, attributes.get(), run, argument);
  if (error != 0) {
    throw std::system_error(error, std::generic_category(), sentence + explain(error, cpu));
  }
  return thread;
}

}  // namespace evpool
