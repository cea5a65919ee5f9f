// `evpool map` when its output fails, its jobs are slow, or its job does not exist.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/integration/program.h"

namespace evpool {
namespace {

// Runs a line of shell in which "$0" is evpool and "$1" the daemon's address.
Finished in_shell(const Daemon& daemon, const std::string& line, const std::string& input = {}) {
  return run({"/bin/sh", "-c", line, built_program("evpool"), daemon.address("tcp")}, input);
}

std::string repeated(const std::string& line, int times) {
  std::string lines;
  for (int i = 0; i < times; ++i) lines += line;
  return lines;
}

// How many requests the server has received, this one not counted.
long received(const Daemon& daemon) {
  const std::string stats = daemon.evpool({"call", "stats", ""}).output;
  return std::stol(stats.substr(std::string("received ").size())) - 1;
}

// --- Output that fails

TEST(MapOutput, a_map_that_cannot_write_stops_at_once) {
  Daemon daemon;
  // Endless input: unless it stops by itself, the test runs into its deadline.
  const Finished full =
      in_shell(daemon, "yes | { \"$0\" --server \"$1\" map echo >/dev/full; echo $?; }");
  EXPECT_EQ(full.output, "6\n");
  EXPECT_EQ(full.errors.rfind("evpool: cannot write to standard output: No space left on device; "
                              "the replies from line 1 on were not printed",
                              0),
            0U)
      << full.errors;
  EXPECT_LE(received(daemon), 256);
  daemon.stop();
}

TEST(MapOutput, a_map_whose_reader_has_gone_stops_when_sigpipe_is_ignored) {
  Daemon daemon;
  const Finished gone = in_shell(
      daemon, "trap '' PIPE; yes | { \"$0\" --server \"$1\" map echo; echo $? >&2; } | head -n 1");
  EXPECT_EQ(gone.output, "y\n");
  EXPECT_NE(
      gone.errors.find("cannot write to standard output: Broken pipe; the replies from line "),
      std::string::npos)
      << gone.errors;
  EXPECT_NE(gone.errors.find("\n6\n"), std::string::npos) << gone.errors;
  daemon.stop();
}

TEST(MapOutput, a_map_says_from_which_line_on_replies_were_not_printed) {
  Daemon daemon;
  // Lines of 1,000 bytes into a file that may have 50 KiB (ulimit counts 512 bytes): 51 whole
  // lines.
  const Finished limited =
      in_shell(daemon,
               "file=$(mktemp); trap '' XFSZ; ulimit -f 100; \"$0\" --server \"$1\" map echo "
               ">\"$file\"; echo $?; wc -c <\"$file\"; rm \"$file\"",
               repeated(std::string(999, 'x') + "\n", 1'000));
  EXPECT_EQ(limited.output.substr(0, 2), "6\n");
  const long bytes = std::stol(limited.output.substr(2));
  EXPECT_NE(limited.errors.find("File too large; the replies from line " +
                                std::to_string(bytes / 1'000 + 1) + " on were not printed"),
            std::string::npos)
      << limited.errors << limited.output;
  daemon.stop();
}

TEST(MapOutput, call_jobs_and_ping_say_that_the_reply_was_not_printed) {
  Daemon daemon;
  for (const std::string command : {"call echo x", "jobs", "ping", "--json call fail x",
                                    "--json jobs", "--json ping", "call echo <\"$0\""}) {
    for (const std::string output : {">/dev/full", ">&-"}) {
      const Finished finished = in_shell(daemon, "\"$0\" --server \"$1\" " + command + output);
      EXPECT_EQ(finished.status, 6) << command << output;
      EXPECT_NE(finished.errors.find("the reply was not printed"), std::string::npos)
          << finished.errors;
    }
  }
  daemon.stop();
}

TEST(MapOutput, replies_before_an_input_that_fails_are_printed) {
  Daemon daemon;
  // Reading a directory fails.
  const Finished finished = in_shell(daemon, "\"$0\" --server \"$1\" map echo </ ; echo $?");
  EXPECT_EQ(finished.output, "6\n");
  EXPECT_NE(finished.errors.find("cannot read the input"), std::string::npos) << finished.errors;
  daemon.stop();
}

// --- A job that does not exist

TEST(MapNotFound, a_map_of_an_unknown_job_stops_at_its_first_line) {
  Daemon daemon;
  for (const std::string transport : {"", "--udp"}) {
    std::vector<std::string> arguments = {"map", "uper"};
    if (!transport.empty()) arguments.push_back(transport);
    const long before = received(daemon);
    const Finished map = daemon.evpool(arguments, repeated("x\n", 100'000));
    EXPECT_EQ(map.status, 1);
    EXPECT_EQ(map.output, "\n");
    EXPECT_NE(map.errors.find("evpool: line 1: not_found: no job 'uper' (did you mean 'upper'?)\n"
                              "evpool: stopped at line 1, as every line is for this job "
                              "(--keep-going goes on)"),
              std::string::npos)
        << map.errors;
    EXPECT_LE(received(daemon) - before, 256 + 1);
  }
  daemon.stop();
}

TEST(MapNotFound, keep_going_goes_on) {
  Daemon daemon;
  const Finished map = daemon.evpool({"map", "nosuch", "--keep-going"}, repeated("x\n", 1'000));
  EXPECT_EQ(map.status, 1);
  EXPECT_EQ(map.output, repeated("\n", 1'000));
  daemon.stop();
}

// --- Jobs that are slow

TEST(MapWindow, loses_no_job_that_waits_behind_others_of_the_same_map) {
  // 12 s of work for one worker, far more than the timeout; each job takes a small part of it.
  Daemon daemon({"--workers", "1"});
  for (const std::string in_flight : {"", "60"}) {
    std::vector<std::string> arguments = {"map", "sleep", "--timeout", "4s"};
    if (!in_flight.empty()) arguments.insert(arguments.end(), {"--in-flight", in_flight});
    const Finished map = daemon.evpool(arguments, repeated("200\n", 60));
    EXPECT_EQ(map.status, 0) << map.errors;
    EXPECT_EQ(map.output, repeated("\n", 60));
  }
  daemon.stop();
}

TEST(MapWindow, slow_jobs_after_many_brief_ones_are_not_lost) {
  Daemon daemon({"--workers", "1"});
  const Finished map = daemon.evpool({"map", "sleep", "--timeout", "4s"},
                                     repeated("0\n", 20'000) + repeated("200\n", 50));
  EXPECT_EQ(map.status, 0) << map.errors;
  EXPECT_EQ(map.output, repeated("\n", 20'050));
  daemon.stop();
}

TEST(MapWindow, a_job_that_takes_longer_than_the_timeout_is_told_and_the_others_are_done) {
  Daemon daemon({"--workers", "1"});
  const Finished map = daemon.evpool({"map", "sleep", "--timeout", "2s"}, "0\n3000\n1\n1\n1\n");
  EXPECT_EQ(map.status, 4);
  EXPECT_EQ(map.output, "\n\n\n\n\n");
  EXPECT_EQ(map.errors, "evpool: line 2: timed_out: no reply from tcp " + daemon.address("tcp") +
                            " within 2s\n");
  daemon.stop();
}

TEST(MapWindow, one_in_flight_is_one_at_a_time) {
  Daemon daemon;
  const Finished map = daemon.evpool({"map", "upper", "--in-flight", "1"}, repeated("x\n", 1'000));
  EXPECT_EQ(map.output, repeated("X\n", 1'000));
  daemon.stop();
}

// --- UDP

TEST(MapUdp, loses_no_reply_on_loopback) {
  // Half of them long, so that the buffers are filled by bytes, too.
  Daemon daemon({"--workers", "2"});
  for (const std::string& line : {std::string("x\n"), std::string(6'000, 'x') + "\n"}) {
    const int lines = line.size() < 100 ? 100'000 : 5'000;
    const Finished map = daemon.evpool({"--udp", "map", "echo"}, repeated(line, lines));
    EXPECT_EQ(map.status, 0) << map.errors;
    EXPECT_TRUE(map.output == repeated(line, lines));
  }
  daemon.stop();
}

// --- Lines that are too long

TEST(MapLines, a_line_over_the_limit_is_not_sent_and_the_others_are) {
  Daemon daemon;
  const Finished map =
      daemon.evpool({"map", "upper", "--max-payload", "1000"},
                    "one\n" + std::string(1'001, 'x') + "\n" + std::string(1'000, 'y') + "\n");
  EXPECT_EQ(map.status, 6);
  EXPECT_EQ(map.output, "ONE\n\n" + std::string(1'000, 'Y') + "\n");
  EXPECT_EQ(map.errors,
            "evpool: line 2: not_sent: a payload of 1001 bytes is over the 1000 of "
            "--max-payload\n");
  daemon.stop();
}

TEST(MapLines, a_line_without_end_is_not_kept) {
  Daemon daemon;
  // 300 MB in one line, in an address space that does not hold them.
  const Finished map = in_shell(daemon,
                                "ulimit -v 200000; head -c 300000000 /dev/zero | "
                                "\"$0\" --server \"$1\" --max-payload 1000000 map echo; echo $?");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_EQ(map.output, "\n6\n");
  EXPECT_EQ(map.errors,
            "evpool: line 1: not_sent: a payload of 300000000 bytes is over the 1000000 of "
            "--max-payload\n");
#endif
  daemon.stop();
}

}  // namespace
}  // namespace evpool
