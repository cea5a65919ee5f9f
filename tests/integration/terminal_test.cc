// What evpool shows on a terminal: nothing that comes from elsewhere moves its cursor.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include "tests/integration/program.h"

namespace evpool {
namespace {

// A terminal that is read by the test.
class Terminal {
 public:
  Terminal() : screen_(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    EXPECT_GE(screen_, 0);
    EXPECT_EQ(grantpt(screen_), 0);
    EXPECT_EQ(unlockpt(screen_), 0);
    std::array<char, 100> name{};
    EXPECT_EQ(ptsname_r(screen_, name.data(), name.size()), 0);
    name_ = name.data();
    device_ = open(name_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT_GE(device_, 0);
    termios mode{};
    EXPECT_EQ(tcgetattr(device_, &mode), 0);
    cfmakeraw(&mode);  // bytes arrive as they were written
    EXPECT_EQ(tcsetattr(device_, TCSANOW, &mode), 0);
  }
  ~Terminal() {
    close(device_);
    close(screen_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }

  // What was written to it so far; after the writer's end.
  std::string shown() const {
    std::string text;
    for (;;) {
      pollfd waiting = {.fd = screen_, .events = POLLIN, .revents = 0};
      if (poll(&waiting, 1, 0) <= 0) return text;
      std::array<char, 4096> bytes;
      const ssize_t got = read(screen_, bytes.data(), bytes.size());
      if (got <= 0) return text;
      text.append(bytes.data(), static_cast<std::size_t>(got));
    }
  }

 private:
  int screen_;
  int device_ = -1;
  std::string name_;
};

// Runs evpool with its output, or its errors, on a terminal; returns what that shows.
std::string shown_by(const Daemon& daemon, const std::string& arguments,
                     const std::string& descriptor, const std::string& input = {}) {
  const Terminal terminal;
  const std::string line = "\"$0\" --server \"$1\" " + arguments + " " + descriptor + ">\"$2\"";
  static_cast<void>(
      run({"/bin/sh", "-c", line, built_program("evpool"), daemon.address("tcp"), terminal.name()},
          input));
  return terminal.shown();
}

// Erases the screen, in three ways; rings; reverses the direction of writing.
const std::string kHostile =
    "a\x1b[2Jb\xc2\x9b"
    "2Jc\x9b\x07\xe2\x80\xae"
    "d";
const std::string kEscaped = "a\\x1b[2Jb\\u009b2Jc\\x9b\\x07\\u202ed";

TEST(Terminal, replies_are_shown_escaped) {
  Daemon daemon;
  EXPECT_EQ(shown_by(daemon, "call echo", "1", kHostile + "\n\tnext\n"), kEscaped + "\n\tnext\n");
  EXPECT_EQ(shown_by(daemon, "call echo '" + kHostile + "'", "1"), kEscaped + "\n");
  EXPECT_EQ(shown_by(daemon, "map echo", "1", kHostile + "\ttab\nnext\n"),
            kEscaped + "\\ttab\nnext\n");
  daemon.stop();
}

TEST(Terminal, json_is_shown_without_what_a_terminal_obeys) {
  Daemon daemon;
  const std::string text =
      "\x1b[2J\xc2\x9b"
      "2J\x7f\xe2\x80\xae\xe2\x80\xa8";
  for (const char* const arguments : {"--json call echo", "--json map echo"}) {
    EXPECT_EQ(shown_by(daemon, arguments, "1", text),
              "{\"status\":\"ok\",\"payload\":\"\\u001b[2J\\u009b2J\\u007f\\u202e\\u2028\"}\n");
  }
  // And the same where no terminal is.
  EXPECT_EQ(daemon.evpool({"--json", "call", "echo"}, text).output,
            "{\"status\":\"ok\",\"payload\":\"\\u001b[2J\\u009b2J\\u007f\\u202e\\u2028\"}\n");
  daemon.stop();
}

TEST(Terminal, diagnostics_are_shown_escaped) {
  Daemon daemon;
  EXPECT_EQ(shown_by(daemon, "call fail '" + kHostile + "\nnext'", "2"),
            "evpool: fail: failed: " + kEscaped + "\\nnext\n");
  EXPECT_EQ(shown_by(daemon, "map fail", "2", kHostile + "\n"),
            "evpool: line 1: failed: " + kEscaped + "\n");
  const std::string usage = shown_by(daemon, "call echo '-" + kHostile + "'", "2");
  EXPECT_EQ(usage.find('\x1b'), std::string::npos) << usage;
  EXPECT_EQ(usage.find('\x9b'), std::string::npos) << usage;
  daemon.stop();
}

TEST(Terminal, replies_are_byte_for_byte_where_no_terminal_is) {
  Daemon daemon;
  EXPECT_EQ(daemon.evpool({"call", "echo"}, kHostile).output, kHostile);
  EXPECT_EQ(daemon.evpool({"map", "echo"}, kHostile + "\n").output, kHostile + "\n");
  daemon.stop();
}

}  // namespace
}  // namespace evpool
