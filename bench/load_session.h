// How evpool-bench's commands run a load: with what the user sees of it, and with the server's own
// statistics. One thread, one session at a time.
#pragma once

#include "bench/interrupts.h"
#include "bench/load/dialect.h"
#include "bench/load/generator.h"
#include "bench/load/load_options.h"
#include "bench/load/load_result.h"

namespace evpool::bench {

// While it lives, Ctrl-C is counted: once means drain and report, twice means report at once.
class LoadSession {
 public:
  // With `live`, the run is shown on standard error, if that is a terminal.
  explicit LoadSession(bool live);
  ~LoadSession() = default;
  LoadSession(const LoadSession&) = delete;
  LoadSession& operator=(const LoadSession&) = delete;

  // As run_load(), for an evpool server, whose statistics it adds to the result when it has a job
  // `stats`.
  [[nodiscard]] LoadResult run(const LoadOptions& options);
  // The same for any other.
  [[nodiscard]] LoadResult run(const LoadOptions& options, const Dialect& dialect);

  [[nodiscard]] bool interrupted() const { return control_.stop_requests.load() > 0; }

 private:
  const bool live_;
  RunControl control_;
  const Interrupts interrupts_;
};

}  // namespace evpool::bench
