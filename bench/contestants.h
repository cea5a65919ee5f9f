// The servers that evpool is compared with, and evpoold itself: how each is started, spoken to and
// measured from outside.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/child_program.h"
#include "bench/load/dialect.h"
#include "protocol/address.h"

namespace evpool::bench {

// Listens on a free port of 127.0.0.1 from start() to its destruction. Used by one thread, which
// must live as long: see ChildProgram.
class Contestant {
 public:
  virtual ~Contestant() = default;
  Contestant(const Contestant&) = delete;
  Contestant& operator=(const Contestant&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& package() const { return package_; }  // to be installed for it
  [[nodiscard]] const std::string& job() const { return job_; }          // what to ask it for
  [[nodiscard]] const Dialect& dialect() const { return *dialect_; }

  // Returns when it accepts connections; does nothing when it is not installed. Throws
  // std::runtime_error.
  virtual void start() = 0;
  [[nodiscard]] bool is_installed() const { return program_ != nullptr; }
  // REQUIRES: it has been started, for all of these.
  [[nodiscard]] const Address& address() const { return address_; }
  [[nodiscard]] bool is_running() const { return program_->running(); }
  // Throws std::runtime_error when it has ended.
  [[nodiscard]] virtual double cpu_seconds() { return program_->cpu_seconds(); }

 protected:
  Contestant(std::string name, std::string package, std::string job,
             std::unique_ptr<Dialect> dialect);
  // REQUIRES: `arguments` make it listen there.
  void run(std::vector<std::string> arguments, const Address& address);

  Address address_;
  std::unique_ptr<ChildProgram> program_;

 private:
  const std::string name_;
  const std::string package_;
  const std::string job_;
  const std::unique_ptr<Dialect> dialect_;
};

// evpool, redis, memcached, gearmand, in this order; none is started. A get from memcached returns
// `size` bytes. REQUIRES: 1 <= size <= kMaxContestantBytes.
[[nodiscard]] std::vector<std::unique_ptr<Contestant>> make_contestants(std::uint32_t size);

// memcached takes items of 1 MiB by default, its own header included.
inline constexpr std::uint32_t kMaxContestantBytes = 1'000'000;

}  // namespace evpool::bench
