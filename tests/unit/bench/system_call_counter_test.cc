// Counts what another process does, where the kernel lets it.
#include "bench/system_call_counter.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

namespace evpool::bench {
namespace {

TEST(SystemCallCounter, counts_the_calls_of_a_process) {
  std::array<int, 2> go{};
  std::array<int, 2> done{};
  ASSERT_EQ(pipe(go.data()), 0);
  ASSERT_EQ(pipe(done.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    static_cast<void>(!read(go[0], &byte, 1));
    for (int i = 0; i < 1'000; ++i) syscall(SYS_getppid);
    static_cast<void>(!write(done[1], &byte, 1));
    pause();
    _exit(0);
  }
  const SystemCallCounter counter(child);
  const auto before = counter.count();
  char byte = 0;
  ASSERT_EQ(write(go[1], &byte, 1), 1);
  ASSERT_EQ(read(done[0], &byte, 1), 1);
  const auto after = counter.count();
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  for (const int end : {go[0], go[1], done[0], done[1]}) close(end);
  if (!before || !after) GTEST_SKIP() << "this machine does not count them";
  EXPECT_GE(*after - *before, 1'000U);
  EXPECT_LE(*after - *before, 1'100U);
}

TEST(SystemCallCounter, knows_nothing_of_a_process_that_is_not) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(SystemCallCounter(child).count());
}

}  // namespace
}  // namespace evpool::bench
