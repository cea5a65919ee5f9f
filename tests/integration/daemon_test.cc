// evpoold as an operator meets it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "tests/integration/program.h"
#include "tests/peer.h"

namespace evpool {
namespace {

TEST(Daemon, says_where_it_listens_and_that_it_is_ready) {
  Program daemon({built_program("evpoold"), "--tcp", "127.0.0.1:0", "--tcp", "[::1]:0", "--udp",
                  "[::1]:0", "--tcp-raw", "none"});
  EXPECT_TRUE(daemon.next_line().starts_with("listening tcp 127.0.0.1:"));
  EXPECT_TRUE(daemon.next_line().starts_with("listening tcp [::1]:"));
  const std::string udp = daemon.next_line();
  EXPECT_TRUE(udp.starts_with("listening udp [::1]:"));
  EXPECT_EQ(daemon.next_line(), "ready");
  const Finished call =
      run({built_program("evpool"), "--udp", "--server",
           udp.substr(std::string("listening udp ").size()), "call", "upper", "six"});
  EXPECT_EQ(call.output, "SIX\n");
  daemon.signal(SIGINT);
  EXPECT_EQ(daemon.wait(), 0);
}

TEST(Daemon, serves_the_textbook_clients) {
  Daemon daemon;
  const Finished udp =
      run({test_program("textbook_udp_client"), std::to_string(daemon.port("udp")), "hello"});
  EXPECT_EQ(udp.status, 0);
  EXPECT_EQ(udp.output, "HELLO\n");
  const Finished tcp = run(
      {test_program("textbook_tcp_raw_client"), std::to_string(daemon.port("tcp-raw")), "hello"});
  EXPECT_EQ(tcp.status, 0);
  EXPECT_EQ(tcp.output, "HELLO\n");
  daemon.stop();
}

TEST(Daemon, uses_the_default_job_it_is_given) {
  Daemon daemon({"--default-job", "echo"});
  EXPECT_EQ(run({test_program("textbook_udp_client"), std::to_string(daemon.port("udp")), "hello"})
                .output,
            "hello\n");
}

TEST(Daemon, answers_text_lines) {
  Daemon daemon;
  Peer peer = Peer::tcp(daemon.port("tcp"));
  peer.send("upper hello\n");
  EXPECT_EQ(peer.receive_line(), "HELLO\n");
  peer.send("echo one\nfail two\necho three\n");
  peer.end_output();
  EXPECT_EQ(peer.receive_to_end(), "one\nERR failed two\nthree\n");
  daemon.stop();
}

TEST(Daemon, refuses_an_address_in_use_with_a_sentence) {
  Daemon daemon;
  const Finished second =
      run({built_program("evpoold"), "--tcp", daemon.address("tcp"), "--udp", "none"});
  EXPECT_EQ(second.status, 1);
  EXPECT_EQ(second.output, "");
  EXPECT_EQ(second.errors, "evpoold: cannot listen on tcp " + daemon.address("tcp") +
                               ": address already in use (is another evpoold running? port 0 picks "
                               "a free one)\n");
}

TEST(Daemon, refuses_wrong_flags_with_a_suggestion) {
  const std::string evpoold = built_program("evpoold");
  const Finished misspelt = run({evpoold, "--wrokers", "3"});
  EXPECT_EQ(misspelt.status, 2);
  EXPECT_EQ(misspelt.errors,
            "evpoold: unknown option '--wrokers' (did you mean '--workers'?)\n"
            "Try 'evpoold --help'.\n");
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--workers", "-1"},
                                             {"--workers", "1025"},
                                             {"--queue", "0"},
                                             {"--tcp", "127.0.0.1"},
                                             {"--udp", "127.0.0.1:70000"},
                                             {"--drain-timeout", "10"},
                                             {"--max-payload", "0"},
                                             {"--max-connections", "none"},
                                             {"--log-level", "loud"},
                                             {"--rcvbuf", "0"},
                                             {"surplus"}}) {
    std::vector<std::string> arguments = {evpoold};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    const Finished refused = run(arguments);
    EXPECT_EQ(refused.status, 2) << wrong.front();
    EXPECT_NE(refused.errors.find(wrong.front()), std::string::npos) << refused.errors;
  }
  const Finished job = run({evpoold, "--default-job", "uper", "--tcp", "127.0.0.1:0"});
  EXPECT_EQ(job.status, 1);
  EXPECT_NE(job.errors.find("did you mean 'upper'?"), std::string::npos) << job.errors;
  const Finished nowhere = run({evpoold, "--tcp", "none", "--udp", "none"});
  EXPECT_EQ(nowhere.status, 1);
  EXPECT_NE(nowhere.errors.find("needs an address to listen on"), std::string::npos);
}

TEST(Daemon, drains_at_a_signal_and_answers_what_it_has_accepted) {
  Daemon daemon;
  Peer peer = Peer::tcp(daemon.port("tcp"));
  std::string ping;
  append_header({.type = FrameType::ping, .id = 2}, ping);
  peer.send(request_frame(1, "sleep", "300") + ping);
  EXPECT_EQ(peer.receive_frame().header.type, FrameType::pong);  // so the job was accepted before
  daemon.program().signal(SIGTERM);
  EXPECT_EQ(peer.receive_frame().header.status, Status::ok);
  EXPECT_EQ(peer.receive_to_end(), "");
  peer.close();
  daemon.expect_drained();
}

TEST(Daemon, exits_at_once_at_the_second_signal) {
  Daemon daemon({"--log-level", "info"});
  Peer peer = Peer::tcp(daemon.port("tcp"));
  std::string ping;
  append_header({.type = FrameType::ping, .id = 2}, ping);
  peer.send(request_frame(1, "sleep", "3600000") + ping);
  peer.receive_frame();
  daemon.program().signal(SIGTERM);
  // Two of a kind that are pending are one; so the second is of the other kind.
  daemon.program().signal(SIGINT);
  const int status = daemon.program().wait();
  EXPECT_TRUE(status == 128 + SIGINT || status == 128 + SIGTERM) << status;
}

TEST(Daemon, ends_jobs_that_outlast_the_drain) {
  Daemon daemon({"--drain-timeout", "10ms"});
  Peer peer = Peer::tcp(daemon.port("tcp"));
  peer.send(request_frame(1, "sleep", "3600000"));
  daemon.program().signal(SIGTERM);
  const Frame reply = peer.receive_frame();
  EXPECT_TRUE(reply.header.status == Status::cancelled ||
              reply.header.status == Status::shutting_down);
  peer.close();
  daemon.expect_drained();
}

TEST(Daemon, survives_running_out_of_descriptors_and_recovers) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few = {.rlim_cur = 40, .rlim_max = before.rlim_max};
  std::vector<Peer> peers;
  Daemon daemon;
  ASSERT_EQ(prlimit(daemon.program().pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  for (int i = 0; i < 60; ++i) {
    peers.push_back(Peer::tcp(daemon.port("tcp")));
    static_cast<void>(peers.back().try_send("upper ali"));  // not idle
  }
  // The last ones find no descriptor: they are closed at once instead of being left to wait.
  EXPECT_EQ(peers.back().receive_to_end(true), "");
  peers.front().send("ve\n");
  EXPECT_EQ(peers.front().receive_line(), "ALIVE\n");
  peers.erase(peers.begin() + 1, peers.end());
  for (bool served = false; !served && !HasFailure();) {
    Peer late = Peer::tcp(daemon.port("tcp"));
    late.send_some("upper back\n");
    served = late.receive_to_end_of_line() == "BACK\n";
  }
  peers.clear();
  daemon.stop();
  EXPECT_NE(daemon.program().errors().find("cannot accept connections: Too many open files"),
            std::string::npos);
}

TEST(Daemon, an_idle_connection_gives_its_descriptor_to_a_new_one) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few = {.rlim_cur = 40, .rlim_max = before.rlim_max};
  Daemon daemon;
  ASSERT_EQ(prlimit(daemon.program().pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  std::vector<Peer> peers;
  for (int i = 0; i < 60; ++i) {
    peers.push_back(Peer::tcp(daemon.port("tcp")));
    peers.back().send("upper served\n");
    EXPECT_EQ(peers.back().receive_line(), "SERVED\n");
  }
  EXPECT_EQ(peers.front().receive_to_end(), "");
  peers.clear();
  daemon.stop();
}

TEST(Daemon, help_names_every_flag_with_its_default) {
  const Finished help = run({built_program("evpoold"), "--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* const flag :
       {"--tcp", "--udp", "--tcp-raw", "--workers", "--queue", "--default-job", "--rcvbuf",
        "--max-payload", "--max-connections", "--drain-timeout", "--log-level"}) {
    EXPECT_NE(help.output.find(flag), std::string::npos) << flag;
  }
}

}  // namespace
}  // namespace evpool
