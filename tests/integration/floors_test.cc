// The programs that evpoold is measured against do what they are measured for, and the command that
// starts them all measures.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/program.h"
#include "tests/peer.h"

namespace evpool {
namespace {

// With its arguments, but for the port.
using Command = std::vector<std::string>;

class Floor : public testing::TestWithParam<Command> {
 protected:
  Floor() {
    const std::string line = program_.next_line();
    EXPECT_TRUE(line.starts_with("listening ")) << line;
    EXPECT_EQ(program_.next_line(), "ready");
    port_ = static_cast<std::uint16_t>(std::stoul(line.substr(line.rfind(':') + 1)));
  }
  ~Floor() override {
    program_.signal(SIGTERM);
    EXPECT_EQ(program_.wait(), 0) << program_.errors();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  static Command on_any_port(Command command) {
    command[0] = built_program(command[0]);
    command.insert(command.begin() + 1, "0");
    return command;
  }

  Program program_{on_any_port(GetParam())};
  std::uint16_t port_ = 0;
};

std::string all_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(i * 7 + i / 256);
  return bytes;
}

std::string upper(std::string bytes) {
  for (char& byte : bytes) {
    if (byte >= 'a' && byte <= 'z') byte = static_cast<char>(byte - 'a' + 'A');
  }
  return bytes;
}

class TcpFloor : public Floor {};

TEST_P(TcpFloor, answers_one_byte) {
  Peer peer = Peer::tcp(port());
  peer.send("x");
  EXPECT_EQ(peer.receive_exactly(1), "X");
}

TEST_P(TcpFloor, answers_a_mebibyte_and_then_the_end) {
  const std::string bytes = all_bytes(1 << 20);
  Peer peer = Peer::tcp(port());
  const std::jthread sender([&] {
    peer.send(bytes);
    peer.end_output();
  });
  EXPECT_TRUE(peer.receive_to_end() == upper(bytes));
}

TEST_P(TcpFloor, keeps_many_connections_apart) {
  std::vector<Peer> peers;
  for (int i = 0; i < 100; ++i) peers.push_back(Peer::tcp(port()));
  for (std::size_t i = 0; i < peers.size(); ++i) peers[i].send(all_bytes(i + 1));
  for (std::size_t i = 0; i < peers.size(); ++i) {
    EXPECT_EQ(peers[i].receive_exactly(i + 1), upper(all_bytes(i + 1)));
  }
}

TEST_P(TcpFloor, goes_on_after_peers_that_leave_without_their_replies) {
  for (int i = 0; i < 50; ++i) {
    Peer leaving = Peer::tcp(port());
    static_cast<void>(leaving.send_some(std::string(1 << 20, 'x')));
    if (i % 2 == 0) leaving.reset();
    leaving.close();
    Peer staying = Peer::tcp(port());
    staying.send("staying");
    EXPECT_EQ(staying.receive_exactly(7), "STAYING");
  }
}

TEST_P(TcpFloor, serves_others_beside_a_peer_that_takes_no_replies) {
  Peer silent = Peer::tcp(port(), 4'096);
  const std::string piece(1 << 16, 'x');
  // As much as all buffers hold, and more.
  for (int i = 0; i < 1'000; ++i) {
    pollfd room = {.fd = silent.descriptor(), .events = POLLOUT, .revents = 0};
    if (poll(&room, 1, 20) <= 0 || silent.send_some(piece) == 0) break;
  }
  Peer other = Peer::tcp(port());
  other.send("other");
  EXPECT_EQ(other.receive_exactly(5), "OTHER");
}

INSTANTIATE_TEST_SUITE_P(All, TcpFloor,
                         testing::Values(Command{"evpool-tcp-floor"},
                                         Command{"evpool-tcp-floor", "--buffer", "262144"},
                                         Command{"evpool-tcp-hop-floor"}));

class UdpFloor : public Floor {};

TEST_P(UdpFloor, answers_64_datagrams) {
  Peer peer = Peer::udp(port());
  for (std::size_t i = 0; i < 64; ++i) peer.send_datagram(all_bytes(20 * i));
  for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(peer.receive_datagram(), upper(all_bytes(20 * i)));
}

TEST_P(UdpFloor, answers_each_peer) {
  std::vector<Peer> peers;
  for (int i = 0; i < 20; ++i) peers.push_back(Peer::udp(port()));
  for (std::size_t i = 0; i < peers.size(); ++i) peers[i].send_datagram(all_bytes(100 + i));
  for (std::size_t i = 0; i < peers.size(); ++i) {
    EXPECT_EQ(peers[i].receive_datagram(), upper(all_bytes(100 + i)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, UdpFloor,
                         testing::Values(Command{"evpool-udp-floor"},
                                         Command{"evpool-udp-floor", "--offload"},
                                         Command{"evpool-udp-hop-floor"},
                                         Command{"evpool-udp-hop-floor", "--offload"}));

TEST(FloorsCommand, measures_evpoold_beside_its_floors) {
  const Finished floors =
      run({built_program("evpool-bench"), "floors", "--row", "tcp-2x2", "udp-1x4-100",
           "udp-1x4-offload", "--rounds", "2", "--duration", "50ms", "--json"});
  ASSERT_EQ(floors.status, 0) << floors.errors;
  const auto object = nlohmann::json::parse(floors.output);
  EXPECT_EQ(object["schema"], "evpool-bench-floors/1");
  ASSERT_EQ(object["rows"].size(), 3U);
  for (const auto& row : object["rows"]) {
    for (const char* const server : {"floor", "hop", "evpool"}) {
      EXPECT_EQ(row[server]["jobs_per_second"]["rounds"].size(), 2U);
      for (const char* const figure :
           {"jobs_per_second", "p50_us", "cpu_us_per_job", "switches_per_job"}) {
        EXPECT_GT(row[server][figure]["median"], 0) << row["row"] << ' ' << server << ' ' << figure;
      }
      EXPECT_TRUE(row[server].contains("system_calls_per_job"));
      EXPECT_GE(row[server]["memory_bytes"]["median"], 0);
    }
    for (const char* const ratio :
         {"evpool_to_hop", "hop_to_floor", "evpool_to_floor", "p50_evpool_to_hop"}) {
      EXPECT_GT(row[ratio]["median"], 0) << row["row"] << ' ' << ratio;
    }
  }
  EXPECT_EQ(object["rows"][1]["payload_bytes"], 100);
  EXPECT_TRUE(object["rows"][2]["offload"]);
  EXPECT_TRUE(object["time_by_size"].empty());
}

TEST(FloorsCommand, draws_a_line_through_the_times_of_three_sizes) {
  const Finished floors =
      run({built_program("evpool-bench"), "floors", "--row", "tcp-1x1-64K", "tcp-1x1-256K",
           "tcp-1x1-1M", "--rounds", "1", "--duration", "50ms", "--json"});
  ASSERT_EQ(floors.status, 0) << floors.errors;
  const auto object = nlohmann::json::parse(floors.output);
  ASSERT_EQ(object["time_by_size"].size(), 3U);
  for (const auto& line : object["time_by_size"])
    EXPECT_EQ(line["b_us_per_byte"]["rounds"].size(), 1U);
  // The payload must have been somewhere.
  EXPECT_GT(object["rows"][2]["memory_to_bytes_in_flight"]["median"], 0.5);
}

TEST(FloorsCommand, shows_tables) {
  const Finished floors = run({built_program("evpool-bench"), "floors", "--row", "tcp-1x1",
                               "--rounds", "1", "--duration", "50ms", "--verbose"});
  ASSERT_EQ(floors.status, 0) << floors.errors;
  for (const char* const heading :
       {"## evpool beside its floors", "## How long a round trip takes",
        "## What it costs the server", "## Its memory", "\n| tcp-1x1 |", "argv"}) {
    EXPECT_NE(floors.output.find(heading), std::string::npos) << heading;
  }
}

TEST(FloorsCommand, refuses_a_row_that_is_none) {
  const Finished floors = run({built_program("evpool-bench"), "floors", "--row", "tcp-50"});
  EXPECT_EQ(floors.status, 2);
  EXPECT_NE(floors.errors.find("'tcp-50': expected TRANSPORT-CONNECTIONSxIN_FLIGHT"),
            std::string::npos)
      << floors.errors;
}

TEST(FloorsCommand, says_how_to_get_a_program_that_is_missing) {
  const Finished floors = run({built_program("evpool-bench"), "floors", "--row", "tcp-1x1",
                               "--server-program", "/nowhere/evpoold"});
  EXPECT_EQ(floors.status, 3);
  EXPECT_NE(floors.errors.find("no program /nowhere/evpoold; build it: ./dev build"),
            std::string::npos)
      << floors.errors;
}

TEST(FloorsCommand, says_why_a_server_does_not_start) {
  const Finished floors = run({built_program("evpool-bench"), "floors", "--row", "tcp-1x1",
                               "--server-args", "--no-such-flag"});
  EXPECT_EQ(floors.status, 3);
  EXPECT_NE(floors.errors.find("unknown option '--no-such-flag'"), std::string::npos)
      << floors.errors;
}

}  // namespace
}  // namespace evpool
