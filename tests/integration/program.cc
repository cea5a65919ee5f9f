#include "tests/integration/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

extern char** environ;

namespace evpool {
namespace {

constexpr std::chrono::seconds kDeadline{60};

void close_if_open(int& descriptor) {
  if (descriptor >= 0) close(std::exchange(descriptor, -1));
}

}  // namespace

std::string built_program(const std::string& name) { return EVPOOL_PROGRAMS "/" + name; }

std::string test_program(const std::string& name) { return EVPOOL_TEST_PROGRAMS "/" + name; }

Program::Program(const std::vector<std::string>& arguments, const std::string& input)
    : input_(input), deadline_(std::chrono::steady_clock::now() + kDeadline) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0 ||
      pipe2(err.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error("cannot make a pipe");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int error = posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  for (const int theirs : {in[0], out[1], err[1]}) close(theirs);
  in_ = in[1];
  out_ = out[0];
  err_ = err[0];
  if (error != 0) throw std::runtime_error("cannot start " + arguments[0]);
  ::signal(SIGPIPE, SIG_IGN);
  fcntl(in_, F_SETFL, O_NONBLOCK);
  if (input_.empty()) close_if_open(in_);
}

Program::~Program() {
  if (pid_ > 0 && status_ < 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  for (int* const descriptor : {&in_, &out_, &err_}) close_if_open(*descriptor);
}

void Program::signal(int number) const { kill(pid_, number); }

std::string Program::next_line() {
  for (;;) {
    const std::size_t end = output_.find('\n');
    if (end != std::string::npos) {
      std::string line = output_.substr(0, end);
      output_.erase(0, end + 1);
      return line;
    }
    if (!pump()) return std::exchange(output_, {});
  }
}

int Program::wait() {
  while (pump()) {
  }
  if (status_ < 0) {
    int status = 0;
    waitpid(pid_, &status, 0);
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return status_;
}

bool Program::pump() {
  if (out_ < 0 && err_ < 0) return false;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline_ - std::chrono::steady_clock::now());
  std::array<pollfd, 3> waiting = {{{.fd = in_, .events = POLLOUT, .revents = 0},
                                    {.fd = out_, .events = POLLIN, .revents = 0},
                                    {.fd = err_, .events = POLLIN, .revents = 0}}};
  if (left.count() <= 0 ||
      poll(waiting.data(), waiting.size(), static_cast<int>(left.count())) <= 0) {
    ADD_FAILURE() << "the program neither said anything nor ended in time";
    kill(pid_, SIGKILL);
    return false;
  }
  if (waiting[0].revents != 0) {
    const ssize_t written = write(in_, input_.data(), input_.size());
    if (written > 0) input_.erase(0, static_cast<std::size_t>(written));
    if (input_.empty() || (written < 0 && errno != EAGAIN)) close_if_open(in_);
  }
  const auto receive = [](short ready, int& descriptor, std::string& to) {
    if (ready == 0) return;
    std::array<char, 65536> bytes;
    const ssize_t got = read(descriptor, bytes.data(), bytes.size());
    if (got > 0) to.append(bytes.data(), static_cast<std::size_t>(got));
    if (got <= 0) close_if_open(descriptor);
  };
  receive(waiting[1].revents, out_, output_);
  receive(waiting[2].revents, err_, errors_);
  return true;
}

Finished run(const std::vector<std::string>& arguments, const std::string& input) {
  Program program(arguments, input);
  const int status = program.wait();
  return {.status = status, .output = program.output(), .errors = program.errors()};
}

namespace {

std::vector<std::string> daemon_arguments(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {built_program("evpoold"),
                                        "--tcp",
                                        "127.0.0.1:0",
                                        "--udp",
                                        "127.0.0.1:0",
                                        "--tcp-raw",
                                        "127.0.0.1:0"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

Daemon::Daemon(const std::vector<std::string>& more_arguments)
    : program_(daemon_arguments(more_arguments)) {
  const std::string prefix = "listening ";
  for (;;) {
    const std::string line = program_.next_line();
    if (line == "ready") return;
    const std::size_t space = line.find(' ', prefix.size());
    if (!line.starts_with(prefix) || space == std::string::npos) {
      program_.wait();
      throw std::runtime_error("evpoold said '" + line + "': " + program_.errors());
    }
    addresses_.emplace(line.substr(prefix.size(), space - prefix.size()), line.substr(space + 1));
  }
}

std::string Daemon::address(const std::string& transport) const { return addresses_.at(transport); }

std::uint16_t Daemon::port(const std::string& transport) const {
  const std::string at = address(transport);
  return static_cast<std::uint16_t>(std::stoul(at.substr(at.rfind(':') + 1)));
}

void Daemon::stop() {
  program_.signal(SIGTERM);
  expect_drained();
}

void Daemon::expect_drained() {
  EXPECT_EQ(program_.wait(), 0) << program_.errors();
  // "received 3 = completed 2 + failed 1 + ..."
  const std::string& log = program_.errors();
  const std::size_t begin = log.rfind("received ");
  ASSERT_NE(begin, std::string::npos) << log;
  std::vector<std::uint64_t> numbers;
  for (std::size_t at = begin; at < log.size() && log[at] != ';';) {
    if (log[at] >= '0' && log[at] <= '9') {
      std::size_t length = 0;
      numbers.push_back(std::stoull(log.substr(at), &length));
      at += length;
    } else {
      ++at;
    }
  }
  ASSERT_EQ(numbers.size(), 6U) << log;
  EXPECT_EQ(numbers[0], numbers[1] + numbers[2] + numbers[3] + numbers[4] + numbers[5]) << log;
}

Finished Daemon::evpool(std::vector<std::string> arguments, const std::string& input) const {
  arguments.insert(arguments.begin(), {built_program("evpool"), "--server", address("tcp")});
  const auto udp = std::find(arguments.begin(), arguments.end(), "--udp");
  if (udp != arguments.end()) arguments[2] = address("udp");
  return run(arguments, input);
}

}  // namespace evpool
