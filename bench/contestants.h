// The servers that evpool is compared with, and evpoold itself: how each is started, spoken to and
// measured from outside.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/child_program.h"
#include "bench/load/dialect.h"
#include "bench/row.h"
#include "bench/series.h"
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
  // Whether it knows such a transport and can carry so many bytes.
  [[nodiscard]] virtual bool can_do(const Row& row) const {
    return row.transport == Transport::tcp;
  }

  // Returns when it accepts connections; does nothing when it is not installed. Throws
  // std::runtime_error.
  virtual void start() = 0;
  [[nodiscard]] bool is_installed() const { return program_ != nullptr; }
  // REQUIRES: it has been started, for all of these.
  // Before each run; what follows is then of such a row. REQUIRES: can_do(row).
  virtual void prepare(const Row& /*row*/) {}
  [[nodiscard]] const Dialect& dialect() const { return *dialect_; }
  [[nodiscard]] const Address& address() const { return address_; }
  [[nodiscard]] bool is_running() const { return program_->running(); }
  // Throws std::runtime_error when it has ended.
  [[nodiscard]] virtual double cpu_seconds() { return program_->cpu_seconds(); }

 protected:
  Contestant(std::string name, std::string package, std::string job,
             std::unique_ptr<Dialect> dialect);  // null: prepare() makes it
  // REQUIRES: `arguments` make it listen there.
  void run(std::vector<std::string> arguments, const Address& address);

  Address address_;
  std::unique_ptr<ChildProgram> program_;
  std::unique_ptr<Dialect> dialect_;

 private:
  const std::string name_;
  const std::string package_;
  const std::string job_;
};

// evpool, redis, memcached, gearmand, in this order; none is started. `options` must outlive them.
[[nodiscard]] std::vector<std::unique_ptr<Contestant>> make_contestants(
    const SeriesOptions& options);

}  // namespace evpool::bench
