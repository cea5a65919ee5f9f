#include "bench/child_program.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>

// From the folder of this program, where CMake installs those that nobody calls by hand.
#ifndef EVPOOL_BENCH_LIBEXEC
#define EVPOOL_BENCH_LIBEXEC "../libexec/evpool"
#endif

namespace evpool::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Between two looks at a child that starts or ends; nothing is being measured then.
constexpr std::chrono::milliseconds kLookEvery{2};
constexpr std::chrono::seconds kStopTimeout{5};

std::system_error system_error(const char* what) { return {errno, std::generic_category(), what}; }

int make_memory_file(const char* name) {
  const int file = memfd_create(name, MFD_CLOEXEC);
  if (file < 0) throw system_error("memfd_create");
  return file;
}

// In the child, between fork and exec, where only async-signal-safe calls are allowed. Returns only
// when it fails.
void become(char** arguments, pid_t parent, int guarded, int input, int output, int errors) {
  // The parent may have died before this took effect.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(1);
  setpgid(0, 0);  // Ctrl-C is for the bench, which then stops its children
  // From here on the child may start programs of its own, so the guard of its group must be there.
  char ignored = 0;
  if (read(guarded, &ignored, 1) != 1) _exit(1);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0) return;
  if (errors >= 0 && dup2(errors, STDERR_FILENO) < 0) return;
  execvp(arguments[0], arguments);
}

// The number after `label` in a /proc file of lines; 0 if there is none.
std::uint64_t number_after(std::string_view label, const std::string& text) {
  const std::size_t at = text.find(label);
  if (at == std::string::npos) return 0;
  const char* const begin = text.data() + text.find_first_not_of(" \t", at + label.size());
  std::uint64_t number = 0;
  std::from_chars(begin, text.data() + text.size(), number);
  return number;
}

}  // namespace

ChildProgram::Descriptor::~Descriptor() { reset(); }

void ChildProgram::Descriptor::reset() {
  if (value_ >= 0) close(value_);
  value_ = -1;
}

ChildProgram::ChildProgram(const Options& options)
    : name_(options.arguments.at(0)),
      output_(make_memory_file("output")),
      errors_(make_memory_file("errors")) {
  start(options);
  if (!options.wait_for_ready) return;
  try {
    wait_until_ready(options);
  } catch (...) {
    stop();
    throw;
  }
}

ChildProgram::~ChildProgram() { stop(); }

void ChildProgram::start(const Options& options) {
  std::vector<char*> arguments;
  for (const std::string& argument : options.arguments) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const Descriptor nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
  // Through the first the child learns that the guard is there, through the second it says why exec
  // failed; exec closes both.
  std::array<int, 2> guarded_pipe{};
  std::array<int, 2> failure_pipe{};
  if (nothing.get() < 0 || pipe2(guarded_pipe.data(), O_CLOEXEC) != 0) throw system_error("pipe");
  const Descriptor guarded_in_child(guarded_pipe[0]);
  Descriptor guarded(guarded_pipe[1]);
  if (pipe2(failure_pipe.data(), O_CLOEXEC) != 0) throw system_error("pipe");
  const Descriptor failure(failure_pipe[0]);
  Descriptor failure_in_child(failure_pipe[1]);

  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw system_error("fork");
  if (pid_ == 0) {
    guarded.reset();  // or it would wait for itself when the parent has died
    become(arguments.data(), parent, guarded_in_child.get(), nothing.get(), output_.get(),
           options.quiet ? errors_.get() : -1);
    const int error = errno;
    static_cast<void>(!write(failure_in_child.get(), &error, sizeof(error)));
    _exit(127);
  }
  failure_in_child.reset();
  try {
    guard_.emplace(pid_);
  } catch (...) {
    stop();
    throw;
  }
  const char go = 1;
  static_cast<void>(!write(guarded.get(), &go, 1));
  int error = 0;
  ssize_t got = -1;
  do {
    got = read(failure.get(), &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  if (got == 0) return;
  stop();
  throw std::runtime_error(
      fmt::format("cannot start {}: {}", name_, std::generic_category().message(error)));
}

void ChildProgram::wait_until_ready(const Options& options) {
  const Clock::time_point deadline = Clock::now() + options.start_timeout;
  for (;;) {
    const bool alive = running();  // asked before looking, so that its last words are seen
    const std::string output = said(output_);
    const std::size_t found = output.find(options.ready_line);
    if (found != std::string::npos && output.find('\n', found) != std::string::npos) return;
    if (!alive) throw std::runtime_error(explain("ended at once"));
    if (Clock::now() >= deadline) {
      throw std::runtime_error(
          explain(fmt::format("was not ready after {} ms", options.start_timeout.count())));
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

std::string ChildProgram::said(const Descriptor& file) const {
  std::string text;
  std::array<char, 4096> bytes;
  for (;;) {
    const ssize_t got =
        pread(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(text.size()));
    if (got <= 0) return text;
    text.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

std::string ChildProgram::explain(std::string_view what) const {
  constexpr std::size_t kMostBytes = 2'000;
  for (const Descriptor* const file : {&errors_, &output_}) {
    std::string text = said(*file);
    text.erase(text.find_last_not_of(" \n") + 1);
    if (text.size() > kMostBytes) text.erase(0, text.size() - kMostBytes);
    if (!text.empty()) return fmt::format("{} {}; it said: {}", name_, what, text);
  }
  return fmt::format("{} {}", name_, what);
}

std::optional<Address> ChildProgram::listening(std::string_view transport) const {
  const std::string output = '\n' + said(output_);
  const std::string label = fmt::format("\nlistening {} ", transport);
  const std::size_t found = output.find(label);
  if (found == std::string::npos) return std::nullopt;
  const std::size_t begin = found + label.size();
  const std::size_t end = output.find('\n', begin);
  if (end == std::string::npos) return std::nullopt;
  return parse_address(std::string_view(output).substr(begin, end - begin));
}

double ChildProgram::cpu_seconds() const {
  // Not /proc/PID/stat, which counts in hundredths of a second.
  clockid_t clock{};
  timespec time{};
  if (gone_ || clock_getcpuclockid(pid_, &clock) != 0 || clock_gettime(clock, &time) != 0) {
    throw std::runtime_error(explain("has ended"));
  }
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::uint64_t ChildProgram::context_switches() const {
  std::error_code error;
  const std::filesystem::directory_iterator threads(fmt::format("/proc/{}/task", pid_), error);
  if (gone_ || error) throw std::runtime_error(explain("has ended"));
  std::uint64_t sum = 0;
  for (const auto& thread : threads) {
    std::ifstream file(thread.path() / "status");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    sum += number_after("\nvoluntary_ctxt_switches:", text);
    sum += number_after("\nnonvoluntary_ctxt_switches:", text);
  }
  return sum;
}

std::uint64_t ChildProgram::resident_bytes() const {
  // Not VmRSS of status: the kernel adds up that one from counts that lag behind.
  return kilobytes("smaps_rollup", "\nRss:") << 10U;
}

std::uint64_t ChildProgram::peak_resident_bytes() const {
  return kilobytes("status", "\nVmHWM:") << 10U;
}

std::uint64_t ChildProgram::kilobytes(std::string_view file, std::string_view label) const {
  std::ifstream stream(fmt::format("/proc/{}/{}", pid_, file));
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (gone_ || text.empty()) throw std::runtime_error(explain("has ended"));
  return number_after(label, text);
}

bool ChildProgram::running() {
  if (gone_) return false;
  siginfo_t ended{};
  // It stays a zombie, so that its group's number is still its own.
  if (waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
      ended.si_pid == 0) {
    return true;
  }
  bury();
  return false;
}

// Ends what the child has left behind in its group, and takes its exit status.
void ChildProgram::bury() {
  kill(-pid_, SIGKILL);
  while (waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) {
  }
  gone_ = true;
  guard_.reset();
}

void ChildProgram::stop() {
  if (!running()) return;
  kill(-pid_, SIGTERM);
  const Clock::time_point deadline = Clock::now() + kStopTimeout;
  while (running() && Clock::now() < deadline) std::this_thread::sleep_for(kLookEvery);
  if (!gone_) bury();
}

int ChildProgram::exit_status() const {
  constexpr int kShellAddsToSignals = 128;
  return WIFEXITED(wait_status_) ? WEXITSTATUS(wait_status_)
                                 : kShellAddsToSignals + WTERMSIG(wait_status_);
}

std::size_t ChildProgram::output_bytes() const {
  struct stat file {};
  return fstat(output_.get(), &file) == 0 ? static_cast<std::size_t>(file.st_size) : 0;
}

std::string program_beside(std::string_view name) {
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::filesystem::path beside = folder / name;
  if (std::filesystem::exists(beside)) return beside.string();
  const std::filesystem::path installed = (folder / EVPOOL_BENCH_LIBEXEC / name).lexically_normal();
  return (std::filesystem::exists(installed) ? installed : beside).string();
}

std::uint16_t free_port() {
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    const int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    const bool free = bind(tcp, generic, sizeof(address)) == 0 &&
                      getsockname(tcp, generic, &length) == 0 &&
                      bind(udp, generic, sizeof(address)) == 0;
    close(tcp);
    close(udp);
    if (free) return ntohs(address.sin_port);
  }
  throw std::runtime_error("no port of 127.0.0.1 is free for both TCP and UDP");
}

}  // namespace evpool::bench
