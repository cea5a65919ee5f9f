// The values of a metric in the results of several runs: read from files that hold what
// `evpool-bench run --json` printed, or from commands that print it. One thread.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/run_conditions.h"

namespace evpool::bench {

// Why there is nothing to compare, and the exit status that says so.
class Failure : public std::runtime_error {
 public:
  Failure(int status, const std::string& what) : std::runtime_error(what), status_(status) {}
  [[nodiscard]] int status() const { return status_; }

 private:
  int status_;
};

// The status is the command's.
class CommandFailure : public Failure {
 public:
  using Failure::Failure;
};

// One of the two: its runs' values.
struct Side {
  std::string name;    // A, NEW
  std::string source;  // a file or a command
  std::vector<double> values = {};
  RunConditions conditions = {};  // those of its first run, and so of all
};

// All throw Failure, also when a run's replies were wrong, or when it was made under other
// conditions than the first of its side: one sample cannot be of both.

// Appends a value for each result in the file.
void read_file(const std::string& path, const std::string& metric, Side& side);

// A B, B A, A B ...: a machine that slows down meanwhile, or a cache that the other one leaves
// warm, is then no difference between the two.
// Appends `runs` values to each, of their sources taken as commands. Ctrl-C ends the command in
// progress and throws; a second one ends this process, and the command with it.
void run_interleaved(const std::string& metric, std::size_t runs, Side& a, Side& b);

}  // namespace evpool::bench
