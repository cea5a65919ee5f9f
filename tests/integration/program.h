// Runs the real programs: starts one, talks to it through pipes, and waits for its end. Nothing
// waits longer than a deadline.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace evpool {

// Where the build put evpoold, evpool and evpool-bench, and where the tests' own programs.
[[nodiscard]] std::string built_program(const std::string& name);
[[nodiscard]] std::string test_program(const std::string& name);

class Program {
 public:
  // Starts `arguments[0]`. Standard input is `input`, and then ends.
  explicit Program(const std::vector<std::string>& arguments, const std::string& input = {});
  // Kills it when it has not ended.
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void signal(int number) const;

  // The next line of standard output, without its end; empty at the end of the output.
  std::string next_line();

  // Waits for the end: the exit status, or 128 + the signal that ended it.
  int wait();

  // All of standard output that next_line has not taken, and all of standard error; after wait().
  [[nodiscard]] const std::string& output() const { return output_; }
  [[nodiscard]] const std::string& errors() const { return errors_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  // Moves bytes through the pipes until something came out or everything ended.
  bool pump();

  pid_t pid_ = -1;
  int status_ = -1;
  int in_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::string input_;
  std::string output_;
  std::string errors_;
  std::chrono::steady_clock::time_point deadline_;
};

struct Finished {
  int status;
  std::string output;
  std::string errors;
};

// Runs a program to its end.
[[nodiscard]] Finished run(const std::vector<std::string>& arguments,
                           const std::string& input = {});

// evpoold on ports of the kernel's choice, ready to serve.
class Daemon {
 public:
  explicit Daemon(const std::vector<std::string>& more_arguments = {});

  // Of the first listener of this transport: "tcp", "tcp-raw", "udp".
  [[nodiscard]] std::uint16_t port(const std::string& transport) const;
  [[nodiscard]] std::string address(const std::string& transport) const;
  Program& program() { return program_; }

  // Sends SIGTERM, and then as expect_drained().
  void stop();
  // Waits; checks that it drained well and that its account balances. REQUIRES: it was told to
  // stop.
  void expect_drained();

  // evpool against this server.
  [[nodiscard]] Finished evpool(std::vector<std::string> arguments,
                                const std::string& input = {}) const;

 private:
  Program program_;
  std::map<std::string, std::string> addresses_;
};

}  // namespace evpool
