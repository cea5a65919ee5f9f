// evpoold's log and signals, as those see them who run it.
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "tests/integration/program.h"

namespace evpool {
namespace {

// evpoold whose standard error is a full FIFO that nobody reads.
constexpr const char* kWithFullStandardError =
    "folder=$(mktemp -d) && mkfifo \"$folder/errors\" || exit 99; exec 3<>\"$folder/errors\"; "
    "rm -r \"$folder\"; head -c 65536 /dev/zero >&3; exec \"$0\" \"$@\" 2>&3";

TEST(Log, a_standard_error_that_nobody_reads_holds_nothing_up) {
  Program daemon({"/bin/sh", "-c", kWithFullStandardError, built_program("evpoold"), "--tcp",
                  "127.0.0.1:0", "--udp", "127.0.0.1:0", "--log-level", "debug"});
  const std::string tcp = daemon.next_line();
  const std::string udp = daemon.next_line();
  EXPECT_EQ(daemon.next_line(), "ready");
  const auto evpool = [](const std::string& listening, std::vector<std::string> arguments) {
    std::vector<std::string> all = {built_program("evpool"), "--server",
                                    listening.substr(listening.rfind(' ') + 1)};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
  };
  for (int i = 0; i < 100; ++i) daemon.signal(SIGHUP);  // each is a line
  EXPECT_EQ(evpool(tcp, {"call", "upper", "hello"}).output, "HELLO\n");
  EXPECT_EQ(evpool(udp, {"--udp", "call", "upper", "hello"}).output, "HELLO\n");
  EXPECT_EQ(evpool(tcp, {"ping"}).status, 0);
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0);
}

TEST(Log, signals_that_change_nothing_are_logged) {
  Daemon daemon;
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2}) daemon.program().signal(signal);
  EXPECT_EQ(daemon.evpool({"call", "upper", "hello"}).output, "HELLO\n");
  daemon.stop();
  for (const char* name : {"SIGHUP", "SIGUSR1", "SIGUSR2"}) {
    EXPECT_NE(daemon.program().errors().find(std::string("info: ") + name), std::string::npos)
        << daemon.program().errors();
  }
}

TEST(Log, sigquit_drains_as_sigterm_does) {
  Daemon daemon;
  daemon.program().signal(SIGQUIT);
  daemon.expect_drained();
}

TEST(Log, sigterm_counts_though_it_was_blocked_by_whoever_started_the_daemon) {
  Program daemon({"/usr/bin/env", "--block-signal=TERM", built_program("evpoold"), "--tcp",
                  "127.0.0.1:0", "--udp", "none"});
  daemon.next_line();
  EXPECT_EQ(daemon.next_line(), "ready");
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0);
}

}  // namespace
}  // namespace evpool
