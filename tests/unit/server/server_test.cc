// The server's life: creation, drain, destruction.
#include "server/server.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "tests/failing_pthread_create.h"
#include "tests/peer.h"
#include "tests/unit/server/failing_epoll.h"
#include "tests/unit/server/running_server.h"

EVPOOL_DEFINE_FAILING_PTHREAD_CREATE

namespace evpool {
namespace {

Handlers builtin() {
  Handlers handlers;
  add_builtin_jobs(handlers);
  return handlers;
}

std::string refusal_of(const ServerOptions& options) {
  const std::size_t descriptors_before = count_descriptors();
  const std::size_t threads_before = count_threads();
  std::string why = "no refusal";
  try {
    const Server server(options, builtin());
  } catch (const std::exception& error) {
    why = error.what();
  }
  EXPECT_EQ(count_descriptors(), descriptors_before) << why;
  EXPECT_TRUE(threads_become(threads_before)) << why;
  return why;
}

TEST(Server, refuses_wrong_options_with_a_sentence) {
  EXPECT_EQ(refusal_of({}), "cannot create a server: it needs an address to listen on");
  ServerOptions options = local_options();
  options.default_job = "uper";
  EXPECT_EQ(refusal_of(options),
            "cannot create a server: the default job: no job 'uper' (did you mean 'upper'?)");
  options = local_options();
  options.queue_tasks = 0;
  EXPECT_EQ(refusal_of(options),
            "cannot create a pool with a capacity of 0 tasks: it must be 1 to 16777216");
  options = local_options();
  options.tcp = {{"no.such.host.invalid", 0}};
  EXPECT_NE(refusal_of(options).find("cannot listen on tcp no.such.host.invalid:0: "),
            std::string::npos);
}

TEST(Server, an_address_in_use_is_refused_and_nothing_is_left_behind) {
  const RunningServer first;
  ServerOptions options = local_options();
  options.udp.push_back({"127.0.0.1", first.udp()});  // the last step of all that bind
  EXPECT_EQ(refusal_of(options),
            "cannot listen on udp 127.0.0.1:" + std::to_string(first.udp()) +
                ": address already in use (is another evpoold running? port 0 picks a free one)");
}

TEST(Server, a_worker_that_cannot_be_started_leaves_nothing_behind) {
  // The first server of a process sets libevent up; that is not a leak of the one that fails.
  { const Server first(local_options(), builtin()); }
  ServerOptions options = local_options();
  options.workers = 4;
  for (int failing = 0; failing < 4; ++failing) {
    pthread_create_calls_until_failure.store(failing);
    EXPECT_NE(refusal_of(options).find("cannot start worker " + std::to_string(failing + 1)),
              std::string::npos);
  }
}

TEST(Server, an_io_thread_that_cannot_be_started_leaves_nothing_behind) {
  { const Server first(local_options(), builtin()); }
  ServerOptions options = local_options();
  options.io_threads = 3;
  for (int failing = 0; failing < 2; ++failing) {
    pthread_create_calls_until_failure.store(2 + failing);  // after its workers
    EXPECT_NE(refusal_of(options).find("cannot start the thread evpool-io-" +
                                       std::to_string(failing + 2)),
              std::string::npos);
  }
}

TEST(Server, too_few_descriptors_are_refused_at_whatever_step) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  std::size_t refusals = 0;
  std::string why;
  do {
    rlimit few = before;
    few.rlim_cur = count_descriptors() + refusals;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    why = refusal_of(local_options());
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    if (why != "no refusal") {
      EXPECT_NE(why.find("Too many open files"), std::string::npos) << why;
      ASSERT_LT(++refusals, 100U);
    }
  } while (why != "no refusal");
  EXPECT_GT(refusals, 2U);
}

TEST(Server, can_be_destroyed_without_having_run) {
  const std::size_t descriptors_before = count_descriptors();
  { const Server server(local_options(), builtin()); }
  EXPECT_EQ(count_descriptors(), descriptors_before);
}

TEST(Server, several_live_in_one_process) {
  RunningServer one;
  RunningServer two;
  Peer to_one = Peer::tcp(one.tcp());
  Peer to_two = Peer::tcp(two.tcp());
  to_one.send(request_frame(1, "echo", "one"));
  to_two.send(request_frame(1, "echo", "two"));
  EXPECT_EQ(to_one.receive_frame().payload, "one");
  EXPECT_EQ(to_two.receive_frame().payload, "two");
}

TEST(Server, listens_on_ipv4_and_ipv6_with_the_same_port) {
  Server server({.tcp = {{"127.0.0.1", 0}, {"::1", 0}}}, builtin());
  ASSERT_EQ(server.listening().size(), 2U);
  EXPECT_EQ(server.listening()[1].address.host, "::1");
  const std::uint16_t port = server.listening()[0].address.port;
  const Server any({.udp = {{"0.0.0.0", port}, {"::", port}}}, builtin());
  EXPECT_EQ(any.listening().size(), 2U);
}

TEST(Server, drain_answers_what_was_accepted_and_refuses_what_comes_later) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "hold", "accepted"));
  server.gate.wait_until_entered();
  server->drain();
  // The listeners close when the drain begins.
  const auto deadline = Clock::now() + std::chrono::seconds(30);
  for (bool closed = false; !closed;) {
    const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(server.tcp());
    closed = connect(probe, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0;
    close(probe);
    ASSERT_LT(Clock::now(), deadline);
  }
  peer.send(request_frame(2, "echo", "too late"));
  const Frame refused = peer.receive_frame();
  EXPECT_EQ(refused.header.id, 2U);
  EXPECT_EQ(refused.header.status, Status::shutting_down);
  server.gate.open();
  EXPECT_EQ(peer.receive_frame().payload, "accepted");
  EXPECT_EQ(peer.receive_to_end(), "");
  const DrainReport report = server.drain();
  EXPECT_EQ(report.still_running, 0U);
  EXPECT_EQ(report.statistics.completed, 1U);
  EXPECT_EQ(report.statistics.refused, 1U);
}

TEST(Server, its_stats_balance_and_count_the_request_that_asks) {
  RunningServer server;
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "echo", "one") + request_frame(2, "fail", "two") +
            request_frame(3, "no_such_job", "three"));
  for (int i = 0; i < 3; ++i) static_cast<void>(peer.receive_frame());
  peer.send(request_frame(4, "stats", ""));
  const Frame reply = peer.receive_frame();
  EXPECT_EQ(reply.header.status, Status::ok);
  std::map<std::string, std::uint64_t> counts;
  std::istringstream lines(reply.payload);
  std::string name;
  for (std::uint64_t count = 0; lines >> name >> count;) counts[name] = count;
  EXPECT_EQ(counts["received"], 4U);
  EXPECT_EQ(counts["completed"], 1U);
  EXPECT_EQ(counts["failed"], 1U);
  EXPECT_EQ(counts["refused"], 1U);
  // All others have their outcome, and this one has it by the time its answer is here.
  EXPECT_EQ(counts["received"] - 1, counts["completed"] + counts["failed"] + counts["expired"] +
                                        counts["cancelled"] + counts["refused"]);
  EXPECT_EQ(counts["connections_open"], 1U);
  EXPECT_EQ(counts.size(), 15U);
  EXPECT_EQ(server->statistics().completed, 2U);
}

TEST(Server, drain_may_be_called_before_run_and_often) {
  Server server(local_options(), builtin());
  server.drain();
  server.drain();
  EXPECT_EQ(server.run().statistics.received, 0U);
}

TEST(Server, drain_may_be_called_by_a_handler) {
  Handlers handlers;
  Server* self = nullptr;
  handlers.add("quit", "ends the server", [&self](Request&) {
    self->drain();
    return Reply::ok("bye");
  });
  Server server({.tcp = {{"127.0.0.1", 0}}, .default_job = "quit"}, std::move(handlers));
  self = &server;
  std::thread runner([&server] { server.run(); });
  Peer peer = Peer::tcp(server.listening().front().address.port);
  peer.send(request_frame(1, "quit", ""));
  EXPECT_EQ(peer.receive_frame().payload, "bye");
  EXPECT_EQ(peer.receive_to_end(), "");
  runner.join();
}

TEST(Server, a_drain_that_takes_too_long_refuses_what_waits_and_stops_what_runs) {
  ServerOptions options = local_options();
  options.workers = 1;
  options.drain_timeout = std::chrono::milliseconds(50);
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "sleep", "3600000") + request_frame(2, "echo", "never started"));
  server.wait_for([](const Statistics& counts) { return counts.received == 2; });
  server->drain();
  std::map<std::uint64_t, Status> replies;
  for (int i = 0; i < 2; ++i) {
    const Frame reply = peer.receive_frame();
    replies[reply.header.id] = reply.header.status;
  }
  EXPECT_EQ(replies[1], Status::cancelled);
  EXPECT_EQ(replies[2], Status::shutting_down);
  EXPECT_EQ(peer.receive_to_end(), "");
  EXPECT_EQ(server.drain().still_running, 0U);
}

TEST(Server, a_handler_that_does_not_stop_is_reported) {
  ServerOptions options = local_options();
  options.drain_timeout = std::chrono::milliseconds(0);
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "hold", "stubborn"));
  server.gate.wait_until_entered();
  EXPECT_EQ(server.drain().still_running, 1U);
  server.gate.open();
  server.destroy();  // waits for it
}

TEST(Server, destruction_while_peers_wait_answers_what_never_started) {
  ServerOptions options = local_options();
  options.workers = 1;
  options.drain_timeout = std::chrono::milliseconds(0);
  RunningServer server(options);
  Peer peer = Peer::tcp(server.tcp());
  peer.send(request_frame(1, "hold", "") + request_frame(2, "echo", ""));
  server.gate.wait_until_entered();
  server.wait_for([](const Statistics& counts) { return counts.received == 2; });
  EXPECT_EQ(server.drain().still_running, 1U);
  EXPECT_EQ(peer.receive_frame().header.status, Status::shutting_down);
  server.gate.open();
  server.destroy();
}

TEST(Server, says_what_it_does_to_its_log) {
  std::mutex mutex;
  std::string lines;
  ServerOptions options = local_options();
  options.log = [&](LogLevel, std::string_view line) {
    const std::lock_guard lock(mutex);
    lines += std::string(line) + "\n";
  };
  RunningServer server(options);
  server.drain();
  EXPECT_NE(lines.find("bytes granted"), std::string::npos) << lines;
  EXPECT_NE(lines.find("draining: 0 requests in flight"), std::string::npos) << lines;
}

TEST(Server, run_throws_when_the_kernel_fails_its_loop) {
  Handlers handlers;
  add_builtin_jobs(handlers);
  Server server(local_options(), std::move(handlers));
  const FailingEpollWait failing(EBADF);
  try {
    static_cast<void>(server.run());
    FAIL() << "it returned";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EBADF);
    EXPECT_NE(std::string(error.what()).find("the event loop failed"), std::string::npos);
  }
}

TEST(Server, run_throws_when_no_socket_can_be_watched) {
  Handlers handlers;
  add_builtin_jobs(handlers);
  ServerOptions options = local_options();
  options.io_threads = 2;
  Server server(options, std::move(handlers));
  const FailingEpollCtl failing(ENOSPC);
  EXPECT_THROW(static_cast<void>(server.run()), std::system_error);
}

TEST(Server, a_listener_that_cannot_be_watched_fails_the_construction) {
  Handlers handlers;
  add_builtin_jobs(handlers);
  ServerOptions options = local_options();
  const FailingEpollCtl failing(ENOSPC);
  EXPECT_ANY_THROW(Server(options, std::move(handlers)));
}

}  // namespace
}  // namespace evpool
