#include "server/run_until_signalled.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <array>
#include <string>
#include <system_error>
#include <thread>

#include "server/builtin_jobs.h"
#include "server/shutdown_signals.h"
#include "tests/failing_pthread_create.h"
#include "tests/peer.h"
#include "tests/unit/server/running_server.h"

namespace evpool {
namespace {

std::string output_of(const char* command) {
  std::string output;
  FILE* const program = popen(command, "r");
  if (program == nullptr) return "popen failed";
  std::array<char, 4096> buffer;
  while (fgets(buffer.data(), buffer.size(), program) != nullptr) output += buffer.data();
  pclose(program);
  return output;
}

class RunUntilSignalled : public testing::TestWithParam<int> {
 protected:
  static Handlers handlers() {
    Handlers handlers;
    add_builtin_jobs(handlers);
    handlers.add("shell", "what a program says that a handler starts",
                 [](Request& request) { return Reply::ok(output_of(request.payload.c_str())); });
    return handlers;
  }
};

TEST_P(RunUntilSignalled, drains_at_the_first_signal) {
  Server server(local_options(), handlers());
  Peer peer = Peer::tcp(server.listening().at(0).address.port);
  std::thread client([&peer] {
    peer.send(request_frame(1, "upper", "hello"));
    EXPECT_EQ(peer.receive_frame().payload, "HELLO");
    kill(getpid(), GetParam());
    EXPECT_EQ(peer.receive_to_end(), "");
  });
  const DrainReport report = run_until_signalled(server);
  client.join();
  EXPECT_EQ(report.statistics.completed, 1U);
  EXPECT_EQ(report.still_running, 0U);
}

INSTANTIATE_TEST_SUITE_P(signals, RunUntilSignalled, testing::Values(SIGTERM, SIGINT, SIGQUIT));

using ShutdownSignalsTest = RunUntilSignalled;

TEST_F(ShutdownSignalsTest, tell_of_signals_that_change_nothing) {
  Server server(local_options(), handlers());
  std::counting_semaphore<8> told{0};
  std::atomic<int> last{0};
  {
    const ShutdownSignals signals(server, [&](int signal) {
      last.store(signal);
      told.release();
    });
    for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) {
      kill(getpid(), signal);
      told.acquire();
      EXPECT_EQ(last.load(), signal);
    }
  }
}

TEST_F(ShutdownSignalsTest, say_that_their_thread_cannot_be_started_and_leave_nothing) {
  Server server(local_options(), handlers());
  const std::size_t descriptors = count_descriptors();
  pthread_create_calls_until_failure.store(0);
  try {
    const ShutdownSignals signals(server);
    FAIL() << "it was started";
  } catch (const std::system_error& error) {
    EXPECT_STREQ(error.what(),
                 "cannot start the thread that acts on signals (see ulimit -u, the cgroup's "
                 "pids.max): Resource temporarily unavailable");
  }
  EXPECT_EQ(count_descriptors(), descriptors);
  struct sigaction after {};
  sigaction(SIGTERM, nullptr, &after);
  EXPECT_EQ(after.sa_handler, SIG_DFL);
}

TEST_F(ShutdownSignalsTest, change_nothing_when_they_are_ignored_at_the_end) {
  Server server(local_options(), handlers());
  {
    ShutdownSignals signals(server);
    signals.ignore();
  }
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) {
    kill(getpid(), signal);
    ::signal(signal, SIG_DFL);
  }
}

TEST_F(ShutdownSignalsTest, leave_what_was_ignored_ignored_and_give_back_what_was_set) {
  Server server(local_options(), handlers());
  signal(SIGHUP, SIG_IGN);
  {
    const ShutdownSignals signals(server);
    struct sigaction now {};
    sigaction(SIGHUP, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_IGN);
    sigaction(SIGTERM, nullptr, &now);
    EXPECT_NE(now.sa_handler, SIG_DFL);
  }
  struct sigaction after {};
  sigaction(SIGTERM, nullptr, &after);
  EXPECT_EQ(after.sa_handler, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
}

TEST_F(ShutdownSignalsTest, a_program_that_a_handler_starts_inherits_no_mask_and_no_handler) {
  Server server(local_options(), handlers());
  const ShutdownSignals signals(server);
  std::thread thread([&server] { server.run(); });
  Peer peer = Peer::tcp(server.listening().at(0).address.port);
  constexpr const char* kMasks = "grep -E 'SigBlk|SigIgn' /proc/self/status";
  peer.send(request_frame(1, "shell", kMasks));
  const std::string masks = peer.receive_frame().payload;
#ifndef __SANITIZE_THREAD__  // with it, workers block signals: see server.cc
  EXPECT_EQ(masks, output_of(kMasks)) << "this thread's own child has other masks";
  EXPECT_TRUE(masks.starts_with("SigBlk:\t0000000000000000\n")) << masks;
  // A child's signal is the child's: the server must not drain.
  peer.send(request_frame(2, "shell", "kill -TERM $$; echo not reached"));
  EXPECT_EQ(peer.receive_frame().payload, "");
#endif
  peer.send(request_frame(3, "upper", "still here"));
  EXPECT_EQ(peer.receive_frame().payload, "STILL HERE");
  peer.close();
  server.drain();
  thread.join();
}

}  // namespace
}  // namespace evpool
