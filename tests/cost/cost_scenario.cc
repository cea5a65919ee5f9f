// What a job costs, in counts that do not depend on the clock: rounds of a fixed scenario, to be
// run under tools that count, at two lengths, of which the difference is taken (cost_test.sh does).
//
// usage: cost_scenario tcp|udp ROUNDS
//
// In each round a peer sends kJobsPerRound requests at once, the loop turns until all are handed
// over, one worker answers them, and the peer receives the answers; the next begins when the worker
// sleeps, so that each wakes it. Prints the allocations (malloc, calloc, realloc) of all threads in
// those rounds; the peer makes none. pread64 is called in the rounds for watching the worker only.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "protocol/frame.h"
#include "server/builtin_jobs.h"
#include "server/io_thread.h"

namespace {

std::atomic<std::uint64_t> allocations{0};

}  // namespace

// Instead of the library's, for this program and all it is linked with.
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* block, std::size_t bytes);

void* malloc(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_calloc(count, bytes);
}
void* realloc(void* block, std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_realloc(block, bytes);
}
}

namespace evpool {
namespace {

constexpr std::uint64_t kJobsPerRound = 16;
constexpr std::size_t kPayloadBytes = 32;

void require(bool holds, const char* what) {
  if (holds) return;
  std::perror(what);
  std::exit(EXIT_FAILURE);
}

// One I/O thread, which is this one, and one worker.
class Scenario {
 public:
  Scenario() {
    for (std::uint64_t id = 0; id < kJobsPerRound; ++id) {
      append_request(id, "upper", std::string(kPayloadBytes, 'x'), 0, Priority::normal, requests_);
    }
  }

  ~Scenario() {
    io_.finish();
    dispatcher_.stop();
  }
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  // A peer's socket, connected.
  Descriptor connect_tcp() {
    const Descriptor listener =
        std::move(bind_sockets("tcp", {"127.0.0.1", 0}, Transport::tcp).front());
    Descriptor peer = connect_to(listener, SOCK_STREAM);
    io_.add_connection(Descriptor(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)), false);
    return peer;
  }
  Descriptor connect_udp() {
    Descriptor endpoint = std::move(bind_sockets("udp", {"127.0.0.1", 0}, Transport::udp).front());
    Descriptor peer = connect_to(endpoint, SOCK_DGRAM);
    io_.add_endpoint(std::move(endpoint), {});
    io_.open();
    return peer;
  }

  void run_tcp_round(const Descriptor& peer) {
    require(send(peer.get(), requests_.data(), requests_.size(), 0) ==
                static_cast<ssize_t>(requests_.size()),
            "send");
    turn_until(kJobsPerRound);
    constexpr std::size_t kReplyBytes = kFrameHeaderBytes + kPayloadBytes;
    for (std::size_t received = 0; received < kJobsPerRound * kReplyBytes;) {
      const ssize_t bytes = recv(peer.get(), buffer_.data(), buffer_.size(), 0);
      require(bytes > 0, "recv");
      received += static_cast<std::size_t>(bytes);
    }
  }

  // Reads what the kernel says of it: it blocks nowhere but where it waits for work. Not inlined,
  // as cost_test.sh leaves out this function's instructions.
  [[gnu::noinline]] void wait_until_worker_sleeps() {
    for (char state = 0; state != 'S';) {
      const ssize_t bytes = pread(worker_state_.get(), buffer_.data(), buffer_.size() - 1, 0);
      require(bytes > 0, "pread");
      buffer_[static_cast<std::size_t>(bytes)] = '\0';
      // proc(5): "PID (NAME) STATE ...".
      const char* name_end = std::strrchr(buffer_.data(), ')');
      require(name_end != nullptr, "stat");
      state = name_end[2];
    }
  }

  void run_udp_round(const Descriptor& peer) {
    const std::size_t request_bytes = requests_.size() / kJobsPerRound;
    for (std::size_t i = 0; i < kJobsPerRound; ++i) {
      require(send(peer.get(), requests_.data() + i * request_bytes, request_bytes, 0) > 0, "send");
    }
    turn_until(kJobsPerRound);
    for (std::size_t i = 0; i < kJobsPerRound; ++i) {
      require(recv(peer.get(), buffer_.data(), buffer_.size(), 0) > 0, "recv");
    }
  }

 private:
  static Handlers handlers() {
    Handlers handlers;
    add_builtin_jobs(handlers);
    return handlers;
  }

  static Descriptor connect_to(const Descriptor& server, int type) {
    PeerAddress address{};
    socklen_t size = sizeof(address);
    require(getsockname(server.get(), &address.any, &size) == 0, "getsockname");
    Descriptor peer(socket(AF_INET, type, 0));
    require(connect(peer.get(), &address.any, address.size()) == 0, "connect");
    return peer;
  }

  void watch_this_thread() {
    const std::string path = "/proc/self/task/" + std::to_string(gettid()) + "/stat";
    worker_state_ = Descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    require(worker_state_.get() >= 0, path.c_str());
  }

  [[nodiscard]] std::uint64_t received() const {
    Statistics counts;
    dispatcher_.count_into(counts);
    return counts.received;
  }

  void turn_until(std::uint64_t more) {
    // Under a tool that slows the process down, no job would be brief.
    dispatcher_.find("upper")->count_runs(1'000'000, std::chrono::nanoseconds(1'000'000));
    const std::uint64_t until = received() + more;
    while (received() < until) {
      require(event_base_loop(io_.loop().base(), EVLOOP_ONCE) == 0, "event_base_loop");
    }
  }

  const ServerOptions options_{};
  const Log log_{{}};
  ConnectionCounts counts_;
  Descriptor worker_state_;
  // Nor would any batch stay whole.
  Dispatcher dispatcher_{handlers(),
                         {.workers = 1,
                          .capacity_tasks = 1024,
                          .thread_name = "worker",
                          .on_worker_start = [this](std::size_t) { watch_this_thread(); }},
                         std::chrono::hours(1),
                         [] {},
                         std::chrono::hours(1)};
  IoThread io_{dispatcher_, options_, log_, counts_, [] {}, [] {}, [] {}};
  std::string requests_;
  std::array<char, 65'536> buffer_{};
};

int run(std::string_view transport, std::uint64_t rounds) {
  Scenario scenario;
  const bool tcp = transport == "tcp";
  const Descriptor peer = tcp ? scenario.connect_tcp() : scenario.connect_udp();
  const auto run_round = [&] {
    scenario.wait_until_worker_sleeps();
    tcp ? scenario.run_tcp_round(peer) : scenario.run_udp_round(peer);
  };
  // What is made once and then used again.
  for (int i = 0; i < 100; ++i) run_round();
  const std::uint64_t before = allocations.load();
  for (std::uint64_t i = 0; i < rounds; ++i) run_round();
  std::printf("jobs %llu\nallocations %llu\n",
              static_cast<unsigned long long>(rounds * kJobsPerRound),
              static_cast<unsigned long long>(allocations.load() - before));
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace evpool

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: cost_scenario tcp|udp ROUNDS\n", stderr);
    return 2;
  }
  return evpool::run(argv[1], std::strtoull(argv[2], nullptr, 10));
}
