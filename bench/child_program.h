// A program that the bench starts for a comparison, measures from outside, and ends with all that
// it has started: it leads a process group of its own. Used by one thread, which must live as long
// as the object does: when that thread or the whole bench ends, whatever the reason, the child and
// its group are killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/group_guard.h"
#include "protocol/address.h"

namespace evpool::bench {

class ChildProgram {
 public:
  struct Options {
    // The program and its arguments; looked for in $PATH when it is a mere name.
    std::vector<std::string> arguments;
    // It is ready when a line of its standard output contains this.
    std::string ready_line = "ready";
    bool wait_for_ready = true;
    bool quiet = true;  // keeps its standard error, to explain a failure; else it is our own
    std::chrono::milliseconds start_timeout{10'000};
  };

  // Throws std::runtime_error, with what the child said, when it can't be started, ends at once, or
  // is not ready in time; then nothing is left behind.
  explicit ChildProgram(const Options& options);
  ~ChildProgram();  // as stop()
  ChildProgram(const ChildProgram&) = delete;
  ChildProgram& operator=(const ChildProgram&) = delete;

  // From the first line "listening TRANSPORT HOST:PORT" of its standard output so far.
  [[nodiscard]] std::optional<Address> listening(std::string_view transport) const;
  [[nodiscard]] pid_t pid() const { return pid_; }

  // Of all its threads since it began, also those that have ended. Throws std::runtime_error when
  // running() or stop() has seen its end.
  [[nodiscard]] double cpu_seconds() const;
  // Voluntary and not, of the threads that it has now. Throws like cpu_seconds().
  [[nodiscard]] std::uint64_t context_switches() const;
  // Of its memory, now and at most so far. Throw like cpu_seconds().
  [[nodiscard]] std::uint64_t resident_bytes() const;
  [[nodiscard]] std::uint64_t peak_resident_bytes() const;

  [[nodiscard]] bool running();
  // As a shell's $?. REQUIRES: running() or stop() has seen its end.
  [[nodiscard]] int exit_status() const;
  // Returns its standard output so far.
  [[nodiscard]] std::size_t output_bytes() const;
  [[nodiscard]] std::string output() const { return said(output_); }
  // Asks it and its group to end; kills what has not ended within five seconds. Returns when it is
  // gone.
  void stop();

 private:
  class Descriptor {
   public:
    explicit Descriptor(int value) : value_(value) {}
    ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return value_; }
    void reset();

   private:
    int value_;
  };

  void start(const Options& options);
  void wait_until_ready(const Options& options);
  void bury();
  [[nodiscard]] std::string said(const Descriptor& file) const;
  // A number of kilobytes in one of its files in /proc.
  [[nodiscard]] std::uint64_t kilobytes(std::string_view file, std::string_view label) const;
  [[nodiscard]] std::string explain(std::string_view what) const;

  const std::string name_;
  // In memory, not pipes: a child that talks more than anybody reads is not held up.
  const Descriptor output_;
  const Descriptor errors_;
  pid_t pid_ = -1;
  std::optional<GroupGuard> guard_;
  bool gone_ = false;    // and waited for: its number may be another's by now
  int wait_status_ = 0;  // of waitpid(), when it is gone
};

// The path of one of evpool's programs: in this executable's own folder, or, of those that nobody
// calls by hand, where an installation puts them.
[[nodiscard]] std::string program_beside(std::string_view name);

// A port of 127.0.0.1 that was free a moment ago, for TCP and UDP alike.
[[nodiscard]] std::uint16_t free_port();

}  // namespace evpool::bench
