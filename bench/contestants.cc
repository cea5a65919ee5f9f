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
  EvpoolContestant() : Contestant("evpool", "", "upper", make_frame_dialect()) {}

  void start() override {
    program_ = std::make_unique<ChildProgram>(
        ChildProgram::Options{.arguments = {program_beside("evpoold"), "--tcp", "127.0.0.1:0",
                                            "--udp", "none", "--log-level", "error"},
                              .start_timeout = kStartTimeout});
    const auto address = program_->listening("tcp");
    if (!address) throw std::runtime_error("it did not say where it listens");
    address_ = *address;
  }
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
  explicit MemcachedContestant(std::uint32_t size)
      : Contestant("memcached get", "memcached", "get",
                   make_memcached_dialect(std::string(size, 'v'))) {}

  void start() override {
    const std::string file = find_program("memcached");
    if (file.empty()) return;
    const Address address = free_address();
    std::vector<std::string> arguments = {
        file, "-l", address.host, "-p", std::to_string(address.port), "-U", "0", "-t", "2"};
    // It wants to be told that it may be root. As nobody it would survive our sudden end: when a
    // process changes its user, the kernel forgets to kill it with its parent.
    if (geteuid() == 0) arguments.insert(arguments.end(), {"-u", "root"});
    run(std::move(arguments), address);
  }
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
    : name_(std::move(name)),
      package_(std::move(package)),
      job_(std::move(job)),
      dialect_(std::move(dialect)) {}

void Contestant::run(std::vector<std::string> arguments, const Address& address) {
  address_ = address;
  program_ = std::make_unique<ChildProgram>(
      ChildProgram::Options{.arguments = std::move(arguments), .wait_for_ready = false});
  wait_until_it_accepts(*program_, address_);
}

std::vector<std::unique_ptr<Contestant>> make_contestants(std::uint32_t size) {
  std::vector<std::unique_ptr<Contestant>> all;
  all.push_back(std::make_unique<EvpoolContestant>());
  all.push_back(std::make_unique<RedisContestant>());
  all.push_back(std::make_unique<MemcachedContestant>(size));
  all.push_back(std::make_unique<GearmanContestant>());
  return all;
}

}  // namespace evpool::bench
