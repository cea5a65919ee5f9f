// evpool, the command, against a real evpoold.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/integration/program.h"

namespace evpool {
namespace {

TEST(Command, calls_a_job_over_tcp_and_udp) {
  Daemon daemon;
  const Finished tcp = daemon.evpool({"call", "upper", "hello"});
  EXPECT_EQ(tcp.status, 0) << tcp.errors;
  EXPECT_EQ(tcp.output, "HELLO\n");
  const Finished udp = daemon.evpool({"--udp", "call", "upper", "hello", "--idempotent"});
  EXPECT_EQ(udp.status, 0) << udp.errors;
  EXPECT_EQ(udp.output, "HELLO\n");
  daemon.stop();
}

TEST(Command, passes_standard_input_and_its_reply_byte_for_byte) {
  Daemon daemon;
  std::string bytes;
  for (int i = 0; i < 1'000'000; ++i) bytes += static_cast<char>(i * 31 % 256);
  const Finished absent = daemon.evpool({"call", "echo"}, bytes);
  EXPECT_EQ(absent.status, 0) << absent.errors;
  EXPECT_TRUE(absent.output == bytes);
  EXPECT_TRUE(daemon.evpool({"call", "echo", "-"}, bytes).output == bytes);
  EXPECT_EQ(daemon.evpool({"call", "echo"}).output, "");
}

TEST(Command, maps_lines_in_their_order) {
  Daemon daemon({"--workers", "4"});
  std::string lines;
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    lines += "line " + std::to_string(i) + "\n";
    expected += "LINE " + std::to_string(i) + "\n";
  }
  for (const bool udp : {false, true}) {
    std::vector<std::string> arguments = {"map", "upper", "--idempotent"};
    if (udp) arguments.emplace_back("--udp");
    const Finished mapped = daemon.evpool(arguments, lines + "last without end");
    EXPECT_EQ(mapped.status, 0) << mapped.errors;
    EXPECT_TRUE(mapped.output == expected + "LAST WITHOUT END\n") << udp;
  }
  EXPECT_EQ(daemon.evpool({"map", "upper"}).output, "");
}

TEST(Command, maps_a_failed_job_to_an_empty_line_and_says_which) {
  Daemon daemon;
  const Finished mapped = daemon.evpool({"map", "sleep"}, "0\nnonsense\n0\n");
  EXPECT_EQ(mapped.status, 1);
  EXPECT_EQ(mapped.output, "\n\n\n");
  EXPECT_EQ(mapped.errors,
            "evpool: line 2: failed: sleep takes a whole number of milliseconds up to 3600000\n");
}

TEST(Command, maps_a_line_that_cannot_be_sent_to_an_empty_one_and_goes_on) {
  Daemon daemon;
  const Finished mapped =
      daemon.evpool({"map", "upper", "--udp"}, "one\n" + std::string(70'000, 'x') + "\nthree\n");
  EXPECT_EQ(mapped.status, 6);
  EXPECT_EQ(mapped.output, "ONE\n\nTHREE\n");
  EXPECT_EQ(
      mapped.errors,
      "evpool: line 2: not_sent: a payload of 70000 bytes does not fit a datagram; use TCP\n");
}

TEST(Command, lists_the_jobs) {
  Daemon daemon;
  const Finished jobs = daemon.evpool({"jobs"});
  EXPECT_EQ(jobs.status, 0);
  for (const char* const job : {"echo", "upper", "sleep", "spin", "fail", "stats", "jobs"}) {
    EXPECT_NE(jobs.output.find(std::string(job) + "  "), std::string::npos) << job;
  }
}

TEST(Command, lists_the_jobs_as_a_json_array) {
  Daemon daemon;
  const auto jobs = nlohmann::json::parse(daemon.evpool({"--json", "jobs"}).output);
  ASSERT_TRUE(jobs.is_array());
  const auto echo =
      std::find_if(jobs.begin(), jobs.end(), [](const auto& job) { return job["name"] == "echo"; });
  ASSERT_NE(echo, jobs.end());
  EXPECT_EQ((*echo)["description"], "the payload as it came");
}

TEST(Command, the_help_of_a_command_has_the_common_options) {
  const std::string evpool = built_program("evpool");
  for (const char* const command : {"call", "map", "jobs", "ping"}) {
    const Finished help = run({evpool, command, "--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_EQ(help.output.find("Usage: evpool " + std::string(command)),
              help.output.find("Usage:"));
    for (const char* const option : {"--server", "--udp", "--timeout", "--json", "--max-payload"}) {
      EXPECT_NE(help.output.find(option), std::string::npos) << command << option;
    }
  }
}

TEST(Command, tells_its_version) {
  const Finished version = run({built_program("evpool"), "--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_TRUE(version.output.starts_with("evpool ") && version.output.ends_with("\n"))
      << version.output;
}

TEST(Command, sends_payloads_that_look_like_options_after_the_separator) {
  Daemon daemon;
  EXPECT_EQ(daemon.evpool({"call", "echo", "--", "-hello"}).output, "-hello\n");
  EXPECT_EQ(daemon.evpool({"call", "echo", "--", "--help"}).output, "--help\n");
  EXPECT_EQ(daemon.evpool({"call", "echo", "++"}).output, "++\n");
  EXPECT_EQ(daemon.evpool({"call", "echo", "map"}).output, "map\n");
  EXPECT_EQ(daemon.evpool({"call", "echo", ""}, "not this").output, "\n");
  const Finished option = daemon.evpool({"call", "echo", "-hello"});
  EXPECT_EQ(option.status, 2);
  EXPECT_EQ(option.output, "");
}

TEST(Command, pings) {
  Daemon daemon;
  EXPECT_NE(daemon.evpool({"ping"}).output.find("pong from tcp 127.0.0.1:"), std::string::npos);
  EXPECT_NE(daemon.evpool({"--udp", "ping"}).output.find("pong from udp 127.0.0.1:"),
            std::string::npos);
}

TEST(Command, prints_json) {
  Daemon daemon;
  EXPECT_EQ(daemon.evpool({"--json", "call", "upper", "a\"b"}).output,
            "{\"status\":\"ok\",\"payload\":\"A\\\"B\"}\n");
  EXPECT_EQ(daemon.evpool({"call", "echo", "--json"}, "\xFF\x01").output,
            "{\"status\":\"ok\",\"payload_hex\":\"ff01\"}\n");
  const Finished failed = daemon.evpool({"call", "fail", "why", "--json"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(failed.output, "{\"status\":\"failed\",\"message\":\"why\"}\n");
}

TEST(Command, exits_1_when_the_job_fails) {
  Daemon daemon;
  const Finished failed = daemon.evpool({"call", "fail", "the reason"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(failed.output, "");
  EXPECT_EQ(failed.errors, "evpool: fail: failed: the reason\n");
  const Finished missing = daemon.evpool({"call", "uper", ""});
  EXPECT_EQ(missing.status, 1);
  EXPECT_EQ(missing.errors, "evpool: uper: not_found: no job 'uper' (did you mean 'upper'?)\n");
}

TEST(Command, exits_2_for_wrong_usage_with_a_suggestion) {
  const std::string evpool = built_program("evpool");
  const Finished option = run({evpool, "--tiemout", "3s", "jobs"});
  EXPECT_EQ(option.status, 2);
  EXPECT_EQ(option.errors,
            "evpool: unknown option '--tiemout' (did you mean '--timeout'?)\n"
            "Try 'evpool --help'.\n");
  const Finished address = run({evpool, "--server", "nowhere", "jobs"});
  EXPECT_EQ(address.status, 2);
  EXPECT_NE(address.errors.find("--server: 'nowhere' is no address: the port is missing"),
            std::string::npos)
      << address.errors;
  EXPECT_NE(run({evpool, "--timeout", "3", "jobs"}).errors.find("the unit is missing"),
            std::string::npos);
  EXPECT_EQ(run({evpool}).status, 2);
  EXPECT_EQ(run({evpool, "call"}).status, 2);
  EXPECT_EQ(run({evpool, "--help"}).status, 0);
}

TEST(Command, exits_3_at_once_when_there_is_no_server) {
  const std::string evpool = built_program("evpool");
  std::string tcp;
  std::string udp;
  {
    Daemon daemon;
    tcp = daemon.address("tcp");
    udp = daemon.address("udp");
    daemon.stop();
  }
  // Had it waited for the timeout, this would be 4.
  const Finished refused = run({evpool, "--server", tcp, "--timeout", "1h", "call", "upper", "x"});
  EXPECT_EQ(refused.status, 3);
  EXPECT_EQ(refused.errors, "evpool: cannot connect to tcp " + tcp +
                                ": Connection refused (is evpoold running?)\n");
  EXPECT_EQ(run({evpool, "--udp", "--server", udp, "--timeout", "1h", "call", "upper", "x"}).status,
            3);
}

TEST(Command, exits_3_at_once_when_the_server_dies) {
  Daemon daemon;
  Program map({built_program("evpool"), "--server", daemon.address("tcp"), "--timeout", "1h", "map",
               "sleep"},
              "0\n3600000\n");
  EXPECT_EQ(map.next_line(), "");  // the first reply, so the second job is under way
  daemon.program().signal(SIGKILL);
  EXPECT_EQ(map.wait(), 3);
  EXPECT_NE(map.errors().find("line 2: connection_lost"), std::string::npos) << map.errors();
}

TEST(Command, exits_4_when_the_reply_does_not_come_in_time) {
  Daemon daemon;
  const Finished late = daemon.evpool({"--timeout", "50ms", "call", "sleep", "2000"});
  EXPECT_EQ(late.status, 4);
  EXPECT_EQ(late.errors, "evpool: sleep: timed_out: no reply from tcp " + daemon.address("tcp") +
                             " within 50ms\n");
}

TEST(Command, exits_5_when_the_peer_is_no_evpool_server) {
  Daemon daemon;
  // The raw port answers a frame with the frame's bytes in upper case.
  const Finished wrong = run(
      {built_program("evpool"), "--server", daemon.address("tcp-raw"), "call", "upper", "hello"});
  EXPECT_EQ(wrong.status, 5) << wrong.errors;
}

TEST(Command, exits_6_when_the_payload_cannot_be_sent) {
  Daemon daemon;
  const Finished large = daemon.evpool({"--udp", "call", "echo"}, std::string(70'000, 'x'));
  EXPECT_EQ(large.status, 6);
  EXPECT_EQ(large.errors,
            "evpool: a payload of more than 65483 bytes does not fit a datagram; use TCP\n");
  const Finished named = daemon.evpool({"--udp", "call", "echo"}, std::string(65'482, 'x'));
  EXPECT_EQ(named.status, 6);
  EXPECT_EQ(named.errors, "evpool: a payload of 65482 bytes does not fit a datagram; use TCP\n");
  const Finished limited =
      daemon.evpool({"--max-payload", "100", "call", "echo"}, std::string(101, 'x'));
  EXPECT_EQ(limited.status, 6);
  EXPECT_EQ(limited.errors,
            "evpool: a payload of more than 100 bytes is over the 100 of --max-payload\n");
}

TEST(BenchRun, measures_over_tcp_and_udp_and_its_account_balances) {
  Daemon daemon;
  for (const std::string transport : {"tcp", "udp"}) {
    const Finished run_ = run({built_program("evpool-bench"), "run", "--transport", transport,
                               "--server", daemon.address(transport), "--connections", "3",
                               "--in-flight", "4", "--duration", "200ms", "--json"});
    EXPECT_EQ(run_.status, 0) << run_.errors;
    EXPECT_NE(run_.output.find("\"wrong\": 0"), std::string::npos) << run_.output;
    EXPECT_NE(run_.output.find("\"jobs_per_second\": "), std::string::npos) << run_.output;
  }
  daemon.stop();
}

TEST(BenchRun, says_that_it_measured_nothing) {
  Daemon daemon;
  const std::string bench = built_program("evpool-bench");
  EXPECT_EQ(run({bench, "run", "--server", "127.0.0.1:1"}).status, 3);
  EXPECT_EQ(
      run({bench, "run", "--server", daemon.address("tcp"), "--job", "fail", "--duration", "50ms"})
          .status,
      3);
  EXPECT_EQ(run({bench, "run", "--sise", "3"}).status, 2);
}

}  // namespace
}  // namespace evpool
