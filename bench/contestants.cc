#include "bench/contestants.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

#include "bench/load/gearman_worker.h"
#include "bench/load/generator.h"
#include "bench/load/peer_dialects.h"
#include "client/client.h"
#include "client/transport.h"

namespace evpool::bench {
namespace {

constexpr std::chrono::milliseconds kStartTimeout{10'000};
constexpr std::chrono::milliseconds kLookEvery{10};
constexpr std::size_t kGearmanWorkers = 2;

// Empty when it is not installed.
std::string find_program(std::string_view name) {
  // Daemons are in a folder that is in few people's PATH.
  const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  const std::string folders = fmt::format("{}:/usr/sbin:/usr/bin", path == nullptr ? "" : path);
  for (std::size_t begin = 0; begin < folders.size();) {
    const std::size_t end = std::min(folders.find(':', begin), folders.size());
    std::string file = fmt::format("{}/{}", folders.substr(begin, end - begin), name);
    if (end > begin && access(file.c_str(), X_OK) == 0) return file;
    begin = end + 1;
  }
  return {};
}

void wait_until_it_accepts(ChildProgram& program, const Address& address) {
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  for (;;) {
    try {
      const ClientSocket socket(address, false, kStartTimeout);
      return;
    } catch (const ConnectError&) {
      if (!program.running()) throw std::runtime_error("it ended as soon as it was started");
      if (std::chrono::steady_clock::now() >= deadline) throw;
      std::this_thread::sleep_for(kLookEvery);
    }
  }
}

Address free_address() { return {"127.0.0.1", free_port()}; }

class EvpoolContestant : public Contestant {
 public:
  explicit EvpoolContestant(const SeriesOptions& options)
      : Contestant("evpool", "", "upper", make_frame_dialect()), options_(options) {}

  bool can_do(const Row& /*row*/) const override { return true; }

  void start() override { start(true); }

  void prepare(const Row& row) override {
    const bool udp = row.transport == Transport::udp;
    if (udp && row.offload != offload_) start(row.offload);
    const auto address = program_->listening(udp ? "udp" : "tcp");
    if (!address) throw std::runtime_error("it did not say where it listens");
    address_ = *address;
  }

 private:
  void start(bool offload) {
    std::vector<std::string> arguments = {"--log-level", "error"};
    if (!offload) arguments.emplace_back(kWithoutUdpOffload);
    program_ = start_evpoold(options_, arguments);
    offload_ = offload;
  }

  const SeriesOptions& options_;
  bool offload_ = true;
};

class RedisContestant : public Contestant {
 public:
  RedisContestant() : Contestant("redis ECHO", "redis-server", "echo", make_redis_dialect()) {}

  void start() override {
    const std::string file = find_program("redis-server");
    if (file.empty()) return;
    const Address address = free_address();
    run({file, "--port", std::to_string(address.port), "--bind", address.host, "--save", "",
         "--appendonly", "no", "--daemonize", "no"},
        address);
  }
};

class MemcachedContestant : public Contestant {
 public:
  MemcachedContestant() : Contestant("memcached get", "memcached", "get", nullptr) {}

  bool can_do(const Row& row) const override {
    return row.payload_bytes <=
           (row.transport == Transport::udp ? kMaxDatagramValueBytes : kMaxValueBytes);
  }

  void start() override {
    const std::string file = find_program("memcached");
    if (file.empty()) return;
    const Address address = free_address();
    const std::string port = std::to_string(address.port);
    std::vector<std::string> arguments = {file, "-l", address.host, "-p", port,
                                          "-U", port, "-t",         "2"};
    // It wants to be told that it may be root. As nobody it would survive our sudden end: when a
    // process changes its user, the kernel forgets to kill it with its parent.
    if (geteuid() == 0) arguments.insert(arguments.end(), {"-u", "root"});
    run(std::move(arguments), address);
  }

  void prepare(const Row& row) override {
    const std::string value(row.payload_bytes, 'v');
    dialect_ = make_memcached_dialect(value);
    if (row.transport == Transport::tcp) return;
    // A connection stores the value when it begins; over UDP somebody must have done so.
    LoadOptions store;
    store.server = address_;
    store.mix.front().job = job();
    store.warm_up = std::chrono::milliseconds(0);
    store.count = 1;
    RunControl control;
    static_cast<void>(run_load(store, *dialect_, control));
    dialect_ = make_memcached_udp_dialect(value);
  }

 private:
  // Its items take 1 MiB by default, their own headers included, and its datagrams 1,400 bytes.
  static constexpr std::uint32_t kMaxValueBytes = 1'000'000;
  static constexpr std::uint32_t kMaxDatagramValueBytes = 1'300;
};

class GearmanContestant : public Contestant {
 public:
  GearmanContestant()
      : Contestant("gearmand", "gearman-job-server", "upper", make_gearman_dialect()) {}

  void start() override {
    const std::string file = find_program("gearmand");
    if (file.empty()) return;
    const Address address = free_address();
    run({file, "-L", address.host, "-p", std::to_string(address.port), "-l", "/dev/null"}, address);
    workers_ = std::make_unique<GearmanWorker>(address, kGearmanWorkers, kStartTimeout);
  }

  // The workers are part of what evpoold does.
  double cpu_seconds() override {
    return Contestant::cpu_seconds() + (workers_ == nullptr ? 0 : workers_->cpu_seconds());
  }

 private:
  std::unique_ptr<GearmanWorker> workers_;
};

}  // namespace

Contestant::Contestant(std::string name, std::string package, std::string job,
                       std::unique_ptr<Dialect> dialect)
    : dialect_(std::move(dialect)),
      name_(std::move(name)),
      package_(std::move(package)),
      job_(std::move(job)) {}

void Contestant::run(std::vector<std::string> arguments, const Address& address) {
  address_ = address;
  program_ = std::make_unique<ChildProgram>(
      ChildProgram::Options{.arguments = std::move(arguments), .wait_for_ready = false});
  wait_until_it_accepts(*program_, address_);
}

std::vector<std::unique_ptr<Contestant>> make_contestants(const SeriesOptions& options) {
  std::vector<std::unique_ptr<Contestant>> all;
  all.push_back(std::make_unique<EvpoolContestant>(options));
  all.push_back(std::make_unique<RedisContestant>());
  all.push_back(std::make_unique<MemcachedContestant>());
  all.push_back(std::make_unique<GearmanContestant>());
  return all;
}

}  // namespace evpool::bench
