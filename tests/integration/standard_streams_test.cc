// What the programs do when descriptors 0, 1 or 2 are closed, full, or read by nobody.
#include <gtest/gtest.h>

#include <string>

#include "tests/integration/program.h"

namespace evpool {
namespace {

// Runs a line of shell in which "$0" is the program.
Finished in_shell(const std::string& program, const std::string& line) {
  return run({"/bin/sh", "-c", line, built_program(program)});
}

struct Usage {
  const char* program;
  int help_failed;  // the exit status when the help cannot be written
};

class EveryProgram : public testing::TestWithParam<Usage> {};

TEST_P(EveryProgram, keeps_its_exit_status_when_standard_error_cannot_be_written) {
  for (const char* errors : {"2>/dev/full", "2>&-", "2>/dev/null"}) {
    const Finished wrong_usage =
        in_shell(GetParam().program, std::string("\"$0\" --no-such-flag ") + errors);
    EXPECT_EQ(wrong_usage.status, 2) << errors;
  }
}

TEST_P(EveryProgram, keeps_its_exit_status_when_nobody_reads_standard_error) {
  // A FIFO that was opened for reading only as long as it took to open it for writing.
  const Finished wrong_usage =
      in_shell(GetParam().program,
               "folder=$(mktemp -d) && mkfifo \"$folder/errors\" || exit 99; "
               "exec 3<>\"$folder/errors\" 4>\"$folder/errors\" 3<&-; rm -r \"$folder\"; "
               "\"$0\" --no-such-flag 2>&4");
  EXPECT_EQ(wrong_usage.status, 2);
}

TEST_P(EveryProgram, says_that_its_help_could_not_be_written) {
  for (const char* output : {">/dev/full", ">&-"}) {
    if (std::string(GetParam().program) == "evpoold" && std::string(output) == ">&-") continue;
    const Finished help = in_shell(GetParam().program, std::string("\"$0\" --help ") + output);
    EXPECT_EQ(help.status, GetParam().help_failed) << output;
    EXPECT_NE(help.errors.find("standard output"), std::string::npos) << help.errors;
  }
}

INSTANTIATE_TEST_SUITE_P(standard_streams, EveryProgram,
                         testing::Values(Usage{"evpoold", 1}, Usage{"evpool", 6},
                                         Usage{"evpool-bench", 3}),
                         [](const auto& usage) {
                           std::string name = usage.param.program;
                           return name == "evpool-bench" ? "bench" : name;
                         });

TEST(standard_streams, a_job_that_failed_is_exit_1_however_the_message_fares) {
  Daemon daemon;
  for (const char* errors : {"2>/dev/full", "2>&-"}) {
    const Finished call =
        in_shell("evpool", "\"$0\" --server " + daemon.address("tcp") + " call nojob x " + errors);
    EXPECT_EQ(call.status, 1) << errors;
  }
  daemon.stop();
}

TEST(standard_streams, a_reply_is_never_written_into_a_socket) {
  Daemon daemon;
  for (const char* transport : {"tcp", "udp"}) {
    const std::string call = std::string("\"$0\" ") +
                             (std::string(transport) == "udp" ? "--udp " : "") + "--server " +
                             daemon.address(transport) + " call upper 'upper again' >&-";
    const Finished finished = in_shell("evpool", call);
    EXPECT_EQ(finished.status, 6) << finished.errors;
    EXPECT_NE(finished.errors.find("standard output"), std::string::npos) << finished.errors;
  }
  // Had a reply been taken for a request, it would be among the received.
  const Finished stats = daemon.evpool({"call", "stats", ""});
  EXPECT_EQ(stats.output.substr(0, stats.output.find('\n')), "received 3");
  daemon.stop();
}

TEST(standard_streams, a_closed_standard_input_is_no_empty_payload) {
  Daemon daemon;
  for (const char* command : {"call echo", "map echo"}) {
    const Finished finished =
        in_shell("evpool", "\"$0\" --server " + daemon.address("tcp") + " " + command + " <&-");
    EXPECT_EQ(finished.status, 6) << command;
  }
  daemon.stop();
}

TEST(standard_streams, a_map_with_a_failing_line_prints_the_other_replies) {
  Daemon daemon;
  const Finished map = in_shell("evpool", "printf 'a\\n5\\n' | \"$0\" --server " +
                                              daemon.address("tcp") + " map sleep 2>/dev/full");
  EXPECT_EQ(map.status, 1);
  EXPECT_EQ(map.output, "\n\n");
  daemon.stop();
}

TEST(standard_streams, a_knee_is_reported_though_its_progress_cannot_be_written) {
  Daemon daemon;
  const Finished knee = in_shell("evpool-bench", "\"$0\" knee --server " + daemon.address("tcp") +
                                                     " --from 100 --repeats 1 --duration 50ms "
                                                     "--precision 50% --slo 'p99<10s' 2>/dev/full");
  EXPECT_TRUE(knee.status == 0 || knee.status == 3) << knee.status;  // 3: the machine is too busy
  EXPECT_TRUE(knee.output.starts_with("knee: ")) << knee.output;
  daemon.stop();
}

TEST(standard_streams, a_server_serves_with_all_but_its_standard_output_closed) {
  Program daemon({"/bin/sh", "-c", "exec \"$0\" --tcp 127.0.0.1:0 --udp none <&- 2>&-",
                  built_program("evpoold")});
  const std::string listening = daemon.next_line();
  const std::string address = listening.substr(listening.rfind(' ') + 1);
  const Finished call =
      run({built_program("evpool"), "--server", address, "call", "upper", "hello"});
  EXPECT_EQ(call.output, "HELLO\n");
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0);
}

TEST(standard_streams, a_server_that_cannot_say_where_it_listens_does_not_start) {
  const Finished daemon = in_shell("evpoold", "\"$0\" --tcp 127.0.0.1:0 --udp none >/dev/full");
  EXPECT_EQ(daemon.status, 1);
  EXPECT_NE(daemon.errors.find("cannot write to standard output: No space left on device"),
            std::string::npos)
      << daemon.errors;
}

}  // namespace
}  // namespace evpool
