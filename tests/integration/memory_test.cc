// evpoold and memory: too little of it, and what it does with it when load has gone. Without the
// sanitizers, which need address space and keep what is freed.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "protocol/frame.h"
#include "tests/integration/program.h"
#include "tests/peer.h"

namespace evpool {
namespace {

std::string frames_of(std::string_view job, std::size_t bytes, std::uint64_t count) {
  std::string frames;
  for (std::uint64_t id = 0; id < count; ++id) {
    frames += request_frame(id, job, std::string(bytes, '1'));
  }
  return frames;
}

std::size_t resident_mib(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/statm");
  std::size_t size_pages = 0;
  std::size_t resident_pages = 0;
  file >> size_pages >> resident_pages;
  return resident_pages * 4096 >> 20U;
}

// Jobs that wait, small but many, in less address space than they need.
TEST(Memory, a_server_that_runs_out_of_it_answers_busy_and_goes_on) {
  Program daemon({"/bin/sh", "-c",
                  "ulimit -v 250000; exec \"$0\" --tcp 127.0.0.1:0 --udp none --workers 1 "
                  "--queue 1000000 --drain-timeout 0s",
                  built_program("evpoold")});
  const std::string listening = daemon.next_line();
  EXPECT_EQ(daemon.next_line(), "ready");
  const auto port =
      static_cast<std::uint16_t>(std::stoul(listening.substr(listening.rfind(':') + 1)));

  constexpr std::uint64_t kRequests = 8'000;  // fewer than a connection may have in flight
  const std::string requests = frames_of("sleep", 3'000, kRequests);  // too long to be a number
  const std::string waiting = request_frame(0, "sleep", "600000");
  Peer holder = Peer::tcp(port);  // holds the one worker
  holder.send(waiting);
  std::vector<Peer> peers;
  for (int i = 0; i < 30; ++i) {
    peers.push_back(Peer::tcp(port));
    if (!peers.back().try_send(requests)) break;
  }
  // 720 MB were sent: some must have been refused, and the server is there.
  std::map<Status, int> statuses;
  const auto frame = peers.back().try_receive_frame();
  if (frame) ++statuses[frame->header.status];
  std::string ping;
  append_header({.type = FrameType::ping, .id = 7}, ping);
  holder.send(ping);
  EXPECT_EQ(holder.receive_frame().header.type, FrameType::pong);
  EXPECT_TRUE(!frame || statuses[Status::busy] == 1);
  peers.clear();
  holder.close();
  daemon.signal(SIGTERM);
  EXPECT_EQ(daemon.wait(), 0) << daemon.errors();
}

TEST(Memory, is_given_back_when_the_peers_that_did_not_read_have_left) {
  Daemon daemon({"--udp", "none"});
  const pid_t process = daemon.program().pid();
  const std::size_t before_mib = resident_mib(process);
  {
    const std::string requests = frames_of("echo", 4'000, 64);
    std::vector<Peer> peers;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (resident_mib(process) < before_mib + 200) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      peers.push_back(Peer::tcp(daemon.port("tcp")));
      // Until the server does not read on.
      for (int i = 0; i < 60; ++i) static_cast<void>(peers.back().send_some(requests));
    }
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (resident_mib(process) > before_mib + 40) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << resident_mib(process);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  daemon.stop();
}

}  // namespace
}  // namespace evpool
#endif
