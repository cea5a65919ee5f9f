#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/commands.h"
#include "bench/exit_status.h"
#include "bench/load/doctor_checks.h"
#include "bench/load/machine_facts.h"
#include "bench/load/machine_probe.h"
#include "bench/load/provenance.h"
#include "bench/report_form.h"
#include "bench/report_json.h"

namespace evpool::bench {
namespace {

constexpr std::chrono::seconds kJitterWatch{1};
constexpr std::size_t kSpeedRuns = 50;
constexpr std::chrono::milliseconds kSpeedRun{5};

using ProcessTimes = std::map<int, ProcessTime>;  // by process id

// Of all processes but this one.
ProcessTimes read_process_times() {
  ProcessTimes times;
  std::error_code ignored;
  for (std::filesystem::directory_iterator entry("/proc", ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    int id = 0;
    const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error != std::errc{} || stop != name.data() + name.size() || id == getpid()) continue;
    ProcessTime time = parse_process_time(read_file(entry->path() / "stat"));
    if (!time.name.empty()) times.emplace(id, std::move(time));
  }
  return times;
}

// "name (pid 7)"; empty when none of them ran.
std::string busiest_between(const ProcessTimes& before, const ProcessTimes& after) {
  std::string busiest;
  std::uint64_t most_ticks = 0;
  for (const auto& [id, time] : after) {
    const auto old = before.find(id);
    const std::uint64_t ticks_before = old == before.end() ? 0 : old->second.ticks;
    if (time.ticks < ticks_before + most_ticks + 1) continue;
    most_ticks = time.ticks - ticks_before;
    busiest = fmt::format("{} (pid {})", time.name, id);
  }
  return busiest;
}

double own_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// What a loop sees for a second, and what the kernel counts meanwhile.
void add_noise_checks(std::vector<Check>& checks) {
  const ProcessTimes processes_before = read_process_times();
  const CpuTimes times_before = parse_cpu_times(read_file("/proc/stat"));
  const double own_before = own_cpu_seconds();
  const auto begin = std::chrono::steady_clock::now();

  const Jitter jitter = measure_jitter(kJitterWatch);
  const auto speeds = measure_speed(kSpeedRuns, kSpeedRun);

  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double own_seconds = own_cpu_seconds() - own_before;
  const CpuTimes times_after = parse_cpu_times(read_file("/proc/stat"));
  const double busy_seconds = static_cast<double>(times_after.busy - times_before.busy) /
                              static_cast<double>(sysconf(_SC_CLK_TCK));

  checks.push_back(judge_steal(times_before, times_after));
  // A tick more or less than this process had may make the difference negative.
  checks.push_back(judge_others(std::max(0.0, (busy_seconds - own_seconds) / seconds),
                                busiest_between(processes_before, read_process_times())));
  checks.push_back(judge_longest_gap(jitter));
  checks.push_back(judge_lost_time(jitter));
  checks.push_back(judge_speed(speeds));
}

std::vector<Check> examine() {
  const auto sysctl = [](const char* path) {
    return read_words(fmt::format("/proc/sys/{}", path));
  };
  rlimit descriptors{};
  getrlimit(RLIMIT_NOFILE, &descriptors);

  std::vector<Check> checks;
  // First, before this program itself is a load.
  checks.push_back(judge_load_average(read_words("/proc/loadavg")));
  checks.push_back(judge_clock_source(read_words(kClockSourceFile)));
  checks.push_back(judge_clock_cost(measure_clock_cost()));
  checks.push_back(judge_governors(read_governors()));
  checks.push_back(judge_cpus(std::max(1, usable_cpus())));
  checks.push_back(judge_cpu_quota(read_words("/sys/fs/cgroup/cpu.max")));
  checks.push_back(judge_hypervisor(runs_in_hypervisor(read_file("/proc/cpuinfo"))));
  checks.push_back(judge_socket_buffers(sysctl("net/core/rmem_max"), sysctl("net/core/wmem_max")));
  checks.push_back(judge_descriptors(descriptors.rlim_cur, descriptors.rlim_max));
  checks.push_back(judge_port_range(sysctl("net/ipv4/ip_local_port_range")));
  checks.push_back(judge_somaxconn(sysctl("net/core/somaxconn")));
  add_noise_checks(checks);
  return checks;
}

const char* verdict_of(const std::vector<Check>& checks) {
  return quiet_enough(checks) ? "quiet enough" : "believe only interleaved comparisons";
}

void print_json(const std::vector<Check>& checks) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Check& check : checks) {
    list.push_back({{"what", check.what},
                    {"verdict", name_of(check.verdict)},
                    {"value", check.value},
                    {"advice", check.advice}});
  }
  const Provenance provenance = collect_provenance(own_arguments(), std::nullopt);
  const nlohmann::ordered_json object = {{"schema", "evpool-bench-doctor/1"},
                                         {"command", "doctor"},
                                         {"verdict", verdict_of(checks)},
                                         {"quiet_enough", quiet_enough(checks)},
                                         {"checks", list},
                                         {"provenance", provenance_to_json(provenance)}};
  fmt::print("{}\n", object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

int run_doctor(const ReportForm& form) {
  const std::vector<Check> checks = examine();
  if (form.json) {
    print_json(checks);
  } else {
    fmt::print("verdict: {}\n", verdict_of(checks));
    for (const Check& check : checks) fmt::print("{}\n", to_line(check));
    print_closing(form, collect_provenance(own_arguments(), std::nullopt),
                  fmt::format("verdict: {}", verdict_of(checks)));
  }
  return any_bad(checks) ? kInvalid : kOk;
}

}  // namespace

void add_doctor_command(CLI::App& app, std::function<int()>& chosen) {
  CLI::App& command = *app.add_subcommand(
      "doctor", "Says whether what is measured on this machine, now, is to be believed");
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.footer("Exit status: 0 nothing is bad; 2 usage; 3 something is bad.");
  const auto form = std::make_shared<ReportForm>();
  add_report_flags(command, *form);
  command.callback([&chosen, form] { chosen = [form] { return run_doctor(*form); }; });
}

}  // namespace evpool::bench
