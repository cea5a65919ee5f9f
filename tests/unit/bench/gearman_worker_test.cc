#include "bench/load/gearman_worker.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "bench/load/gearman_packet.h"
#include "client/client.h"
#include "tests/unit/client/fake_server.h"

namespace evpool::bench {
namespace {

using namespace std::string_literals;

// What gearmand and its workers say to each other.
std::string packet(std::string_view magic, GearmanType type, std::string_view body = {}) {
  std::string bytes(magic);
  append_big_endian(static_cast<std::uint32_t>(type), bytes);
  append_big_endian(static_cast<std::uint32_t>(body.size()), bytes);
  return bytes.append(body);
}
std::string from_worker(GearmanType type, std::string_view body = {}) {
  return packet(kGearmanRequestMagic, type, body);
}
std::string from_gearmand(GearmanType type, std::string_view body = {}) {
  return packet(kGearmanResponseMagic, type, body);
}
std::string assign(std::string_view handle, std::string_view payload) {
  return from_gearmand(GearmanType::job_assign,
                       std::string(handle) + "\0upper\0"s + std::string(payload));
}
std::string complete(std::string_view handle, std::string_view result) {
  return from_worker(GearmanType::work_complete, std::string(handle) + "\0"s + std::string(result));
}
const std::string kGrab = from_worker(GearmanType::grab_job);
constexpr std::string_view kId = "00000000deadbeef";

// A gearmand for the test to play, with one worker connected at a time.
class FakeGearmand {
 public:
  FakeGearmand() : socket_(evpool::Transport::tcp) {
    BoundSocket::check(::listen(socket_.get(), SOMAXCONN), "listen");
  }

  [[nodiscard]] const Address& address() const { return socket_.address(); }
  Descriptor accept() const {
    await(socket_.get());
    Descriptor worker(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    BoundSocket::check(worker.get(), "accept");
    return worker;
  }

  // So many bytes of the worker's, or fewer when it has left.
  static std::string receive(const Descriptor& worker, std::size_t count) {
    std::string bytes(count, '\0');
    std::size_t received = 0;
    while (received < count) {
      await(worker.get());
      const ssize_t got = ::recv(worker.get(), &bytes[received], count - received, 0);
      BoundSocket::check(got, "recv");
      if (got == 0) break;
      received += static_cast<std::size_t>(got);
    }
    return bytes.substr(0, received);
  }
  static void send(const Descriptor& worker, std::string_view bytes) {
    BoundSocket::check(::send(worker.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), "send");
  }
  static bool is_ready(int descriptor, std::chrono::milliseconds within) {
    pollfd waiting = {.fd = descriptor, .events = POLLIN, .revents = 0};
    return ::poll(&waiting, 1, static_cast<int>(within.count())) > 0;
  }

 private:
  static void await(int descriptor) {
    if (!is_ready(descriptor, kPatience)) throw std::runtime_error("waited in vain for a worker");
  }

  const BoundSocket socket_;
};

// One worker and the gearmand that it works for.
class GearmanWorkerTest : public testing::Test {
 protected:
  GearmanWorkerTest() : worker_(gearmand_.address(), 1, kPatience) {
    expect(from_worker(GearmanType::can_do, "upper") + kGrab);
  }

  void expect(const std::string& bytes) {
    EXPECT_EQ(FakeGearmand::receive(connection_, bytes.size()), bytes);
  }
  void send(std::string_view bytes) { FakeGearmand::send(connection_, bytes); }
  [[nodiscard]] bool hears_nothing() const {
    return !FakeGearmand::is_ready(connection_.get(), std::chrono::milliseconds(20));
  }
  [[nodiscard]] bool hears_the_end() const { return FakeGearmand::receive(connection_, 1).empty(); }

  const FakeGearmand gearmand_;
  GearmanWorker worker_;
  const Descriptor connection_ = gearmand_.accept();
};

TEST_F(GearmanWorkerTest, answers_in_upper_case_behind_the_requests_id_and_asks_for_more) {
  send(assign("H:1", std::string(kId) + "Hello, {you}"));
  expect(complete("H:1", std::string(kId) + "HELLO, {YOU}") + kGrab);
  send(assign("H:2", kId));
  expect(complete("H:2", kId) + kGrab);
}

TEST_F(GearmanWorkerTest, takes_packets_in_whatever_pieces_they_come) {
  const std::string jobs =
      assign("H:1", std::string(kId) + "one") + assign("H:2", std::string(kId) + "two");
  send(jobs.substr(0, 5));
  EXPECT_TRUE(hears_nothing());
  send(jobs.substr(5, jobs.size() - 6));
  expect(complete("H:1", std::string(kId) + "ONE") + kGrab);
  send(jobs.substr(jobs.size() - 1));
  expect(complete("H:2", std::string(kId) + "TWO") + kGrab);
}

TEST_F(GearmanWorkerTest, sleeps_when_there_is_no_job_and_asks_once_when_it_is_woken) {
  send(from_gearmand(GearmanType::no_job));
  expect(from_worker(GearmanType::pre_sleep));
  send(from_gearmand(GearmanType::noop) + from_gearmand(GearmanType::noop));
  expect(kGrab);
  EXPECT_TRUE(hears_nothing());
}

TEST_F(GearmanWorkerTest, gives_up_a_job_without_a_requests_id) {
  send(assign("H:1", kId.substr(1)));
  expect(from_worker(GearmanType::work_fail, "H:1") + kGrab);
}

TEST_F(GearmanWorkerTest, leaves_a_gearmand_that_speaks_nonsense) {
  send("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_TRUE(hears_the_end());
}

TEST_F(GearmanWorkerTest, leaves_a_gearmand_that_sends_what_is_not_for_workers) {
  send(from_gearmand(GearmanType::job_created, "H:1"));
  EXPECT_TRUE(hears_the_end());
}

TEST_F(GearmanWorkerTest, says_how_much_time_its_threads_have_used) {
  const double before_s = worker_.cpu_seconds();
  EXPECT_GE(before_s, 0);
  send(assign("H:1", std::string(kId) + std::string(1U << 20U, 'a')));
  expect(complete("H:1", std::string(kId) + std::string(1U << 20U, 'A')) + kGrab);
  EXPECT_GT(worker_.cpu_seconds(), before_s);
}

TEST(GearmanWorkers, each_have_a_connection_and_leave_when_they_are_no_longer_wanted) {
  const FakeGearmand gearmand;
  auto workers = std::make_unique<GearmanWorker>(gearmand.address(), 2, kPatience);
  const std::string greeting = from_worker(GearmanType::can_do, "upper") + kGrab;
  const Descriptor first = gearmand.accept();
  const Descriptor second = gearmand.accept();
  for (const Descriptor* const worker : {&first, &second}) {
    EXPECT_EQ(FakeGearmand::receive(*worker, greeting.size()), greeting);
  }
  workers.reset();
  for (const Descriptor* const worker : {&first, &second}) {
    EXPECT_EQ(FakeGearmand::receive(*worker, 1), "");
  }
}

TEST(GearmanWorkers, need_a_gearmand) {
  const BoundSocket nobody(evpool::Transport::tcp);
  EXPECT_THROW(GearmanWorker(nobody.address(), 1, kPatience), ConnectError);
}

}  // namespace
}  // namespace evpool::bench
