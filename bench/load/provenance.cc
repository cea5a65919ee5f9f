#include "bench/load/provenance.h"

#include <sys/utsname.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "bench/load/effective_flags.h"
#include "bench/load/machine_facts.h"

// All come from CMake.
#ifndef EVPOOL_COMMIT
#define EVPOOL_COMMIT "unknown"
#endif
#ifndef EVPOOL_BENCH_FLAGS
#define EVPOOL_BENCH_FLAGS ""
#endif
#ifndef EVPOOL_SERVER_FLAGS
#define EVPOOL_SERVER_FLAGS ""
#endif
#ifndef EVPOOL_THREADPOOL_FLAGS
#define EVPOOL_THREADPOOL_FLAGS ""
#endif

namespace evpool::bench {
namespace {

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  char text[sizeof("9999-12-31T23:59:59Z")] = "";
  if (gmtime_r(&now, &utc) == nullptr) return {};
  return std::string(text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc));
}

std::string compiler() {
#ifdef __clang__
  return __VERSION__;
#else
  return "gcc " __VERSION__;
#endif
}

std::string kernel() {
  utsname name{};
  if (uname(&name) != 0) return {};
  return std::string(name.sysname) + " " + name.release + " " + name.version + " " + name.machine;
}

// The names of kernel.sched_*; which there are depends on the kernel.
std::vector<std::string> scheduler_sysctls() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (std::filesystem::directory_iterator entry("/proc/sys/kernel", ignored), end;
       !ignored && entry != end; entry.increment(ignored)) {
    std::error_code unreadable;
    const std::string name = entry->path().filename().string();
    if (name.starts_with("sched_") && entry->is_regular_file(unreadable)) {
      names.push_back("kernel." + name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string read_sysctl(std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  return read_words("/proc/sys/" + name);
}

std::string shell_quoted(std::string_view argument) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+";
  if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(argument);
  }
  std::string quoted = "'";
  for (const char c : argument) {
    // Nothing can be escaped between single quotes: they end, and begin again.
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

}  // namespace

std::string shell_quoted(const std::vector<std::string>& arguments) {
  std::string line;
  for (const std::string& argument : arguments) {
    if (!line.empty()) line += ' ';
    line += shell_quoted(std::string_view(argument));
  }
  return line;
}

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline");
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

Provenance collect_provenance(const std::vector<std::string>& arguments,
                              std::optional<std::uint64_t> seed) {
  Provenance provenance;
  const auto add = [&](std::string name, std::string value) {
    if (!value.empty()) provenance.facts.emplace_back(std::move(name), std::move(value));
  };
  const std::string cpuinfo = read_file("/proc/cpuinfo");
  const int cpus = usable_cpus();

  add("date", now_utc());
  add("argv", shell_quoted(arguments));
  add("seed", seed ? std::to_string(*seed) : "");
  add("commit", EVPOOL_COMMIT);
  add("compiler", compiler());
  add("flags", effective_flags(EVPOOL_BENCH_FLAGS));
  add("server flags", effective_flags(EVPOOL_SERVER_FLAGS));
  add("threadpool flags", effective_flags(EVPOOL_THREADPOOL_FLAGS));
  add("kernel", kernel());
  add("cpu", cpuinfo_field(cpuinfo, "model name"));
  add("usable cpus", cpus > 0 ? std::to_string(cpus) : "");
  add("governor", read_governors());
  for (const char* const name :
       {"net.core.rmem_max", "net.core.wmem_max", "net.core.somaxconn", "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem", "net.ipv4.ip_local_port_range"}) {
    add(name, read_sysctl(name));
  }
  for (const std::string& name : scheduler_sysctls()) add(name, read_sysctl(name));
  add("hypervisor", runs_in_hypervisor(cpuinfo));
  add("clock source", read_words(kClockSourceFile));
  return provenance;
}

}  // namespace evpool::bench
