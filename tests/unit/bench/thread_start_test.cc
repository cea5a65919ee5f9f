// What becomes of a command when there can be no more threads: an error, and nothing left behind.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "bench/load/gearman_worker.h"
#include "bench/null_server.h"
#include "tests/failing_pthread_create.h"
#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/load_testing.h"

// Stands before the C library's for libstdc++, too, which is where std::thread starts one; --wrap
// would change the program's own calls only.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*start)(void*), void* argument) noexcept {
  static const auto real =
      reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  if (evpool::pthread_create_calls_until_failure.load() >= 0 &&
      evpool::pthread_create_calls_until_failure.fetch_sub(1) == 0) {
    return EAGAIN;
  }
  return real(thread, attributes, start, argument);
}

namespace evpool::bench {
namespace {

// What `begin` says when it throws because one thread, after `succeed` others, cannot be started.
template <typename Begin>
std::string failure_after(int succeed, const Begin& begin) {
  const std::size_t threads = count_threads();
  const std::size_t descriptors = count_descriptors();
  std::string failure = "it went on";
  pthread_create_calls_until_failure.store(succeed);
  try {
    begin();
  } catch (const std::runtime_error& error) {
    failure = error.what();
  }
  EXPECT_EQ(pthread_create_calls_until_failure.exchange(-1), -1);
  EXPECT_TRUE(threads_become(threads));
  // The server closes its ends when it has seen ours closed.
  EXPECT_TRUE(becomes_true([descriptors] { return count_descriptors() == descriptors; }));
  return failure;
}

TEST(ThreadThatCannotStart, of_the_generator_ends_the_run_with_an_error) {
  AnsweringServer server(false, honest);
  for (const int succeed : {0, 1, 2}) {
    LoadOptions options = all_measured(server.address(), Transport::tcp);
    options.connections = 3;
    options.threads = 3;
    options.duration = kNeverLate;
    const std::string failure =
        failure_after(succeed, [&] { static_cast<void>(run_load(options)); });
    EXPECT_EQ(failure,
              "cannot start a thread of the generator: Resource temporarily unavailable (are there "
              "too many threads? see ulimit -u, or the container's limit of pids)");
  }
}

TEST(ThreadThatCannotStart, of_the_null_server_is_an_error) {
  EXPECT_EQ(failure_after(0, [] { const NullServer server; })
                .find("cannot start the null server's thread: "),
            0U);
}

TEST(ThreadThatCannotStart, of_a_gearman_worker_is_an_error) {
  const BoundSocket gearmand(evpool::Transport::tcp);
  BoundSocket::check(::listen(gearmand.get(), SOMAXCONN), "listen");
  for (const int succeed : {0, 1}) {
    EXPECT_EQ(failure_after(succeed,
                            [&] { const GearmanWorker workers(gearmand.address(), 2, kPatience); })
                  .find("cannot start a gearman worker's thread: "),
              0U);
  }
}

}  // namespace
}  // namespace evpool::bench
