// Lets a command that measures round after round end early and still report what it has. One
// thread.
#pragma once

#include <functional>
#include <string>

#include "bench/load/generator.h"

namespace evpool::bench {

class SeriesWatch {
 public:
  SeriesWatch() = default;
  SeriesWatch(const SeriesWatch&) = delete;
  SeriesWatch& operator=(const SeriesWatch&) = delete;

  // Calls `measure`, which keeps what it has measured. Returns why it broke off, a sentence; empty
  // when it did not. Lets std::invalid_argument through: that is a mistake of the user's, not of
  // the measuring. Ctrl-C a second time ends the process.
  [[nodiscard]] std::string run(const std::function<void()>& measure);

  // For the runs of `measure`: Ctrl-C ends the one in progress.
  [[nodiscard]] RunControl& control() { return control_; }
  // For `measure`, after each run, which may have been cut short. Throws when the user has asked
  // for the end.
  void check() const;

 private:
  RunControl control_;
};

}  // namespace evpool::bench
