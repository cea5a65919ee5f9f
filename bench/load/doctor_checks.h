// What is judged before a result of this machine is believed: each check takes what was read or
// measured, and says what it means for a measurement and what to do. Pure; doctor_command.h does
// the reading, machine_probe.h the measuring.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evpool::bench {

enum class Verdict : std::uint8_t {
  ok,
  note,  // a result must be read with it
  bad,   // it makes results wrong, or runs fail
};
[[nodiscard]] const char* name_of(Verdict verdict);

struct Check {
  std::string what;
  Verdict verdict = Verdict::ok;
  std::string value;
  std::string advice;  // why it matters and what to do; empty when ok
  // About how still the machine holds now, not how it is set up.
  bool of_noise = false;
};

// What was read is empty where it could not be: a note.

[[nodiscard]] Check judge_clock_source(std::string_view source);

struct ClockCost {
  double call_ns = 0;
  double step_ns = 0;  // the least by which two readings differed
};
[[nodiscard]] Check judge_clock_cost(const ClockCost& cost);

[[nodiscard]] Check judge_governors(std::string_view governors);

// REQUIRES: cpus >= 1.
[[nodiscard]] Check judge_cpus(int cpus);
// Of this control group: "max 100000", or microseconds in each period.
[[nodiscard]] Check judge_cpu_quota(std::string_view cpu_max);

// "yes" or "no".
[[nodiscard]] Check judge_hypervisor(std::string_view hypervisor);

// What the kernel's counters say of all CPUs, in ticks.
struct CpuTimes {
  std::uint64_t busy = 0;   // of this machine's processes and kernel
  std::uint64_t steal = 0;  // wanted by them, and the host ran something else
};
// Of a /proc/stat; zeros when it is none.
[[nodiscard]] CpuTimes parse_cpu_times(std::string_view proc_stat);
[[nodiscard]] Check judge_steal(const CpuTimes& before, const CpuTimes& after);

// Of a /proc/PID/stat: who, and how much CPU it has had.
struct ProcessTime {
  std::string name;
  std::uint64_t ticks = 0;
};
// The name is empty when it is none.
[[nodiscard]] ProcessTime parse_process_time(std::string_view proc_pid_stat);

// `cpus_used`: by all processes but this one, as a number of CPUs; `busiest` of them, or empty.
[[nodiscard]] Check judge_others(double cpus_used, std::string_view busiest);
// Of a /proc/loadavg.
[[nodiscard]] Check judge_load_average(std::string_view loadavg);

// sysctls in bytes.
[[nodiscard]] Check judge_socket_buffers(std::string_view rmem_max, std::string_view wmem_max);
// The limits of this process.
[[nodiscard]] Check judge_descriptors(std::uint64_t soft, std::uint64_t hard);
// Two ports, the first and the last.
[[nodiscard]] Check judge_port_range(std::string_view range);
[[nodiscard]] Check judge_somaxconn(std::string_view somaxconn);

// What a loop that only reads the clock saw.
struct Jitter {
  std::chrono::nanoseconds watched{0};
  std::chrono::nanoseconds longest{0};  // between two readings
  std::chrono::nanoseconds lost{0};     // in all gaps of more than kGap
  static constexpr std::chrono::microseconds kGap{10};
};
[[nodiscard]] Check judge_longest_gap(const Jitter& jitter);
[[nodiscard]] Check judge_lost_time(const Jitter& jitter);

// The durations of the same work, done again and again.
// REQUIRES: !runs.empty().
[[nodiscard]] Check judge_speed(std::vector<std::chrono::nanoseconds> runs);

// Whether two runs of which one comes after the other can be compared.
[[nodiscard]] bool quiet_enough(std::span<const Check> checks);
[[nodiscard]] bool any_bad(std::span<const Check> checks);

// "ok    clock source: tsc", with the advice in parentheses behind.
[[nodiscard]] std::string to_line(const Check& check);

// "85 ns", "1.5 ms".
[[nodiscard]] std::string duration_text(std::chrono::nanoseconds duration);

}  // namespace evpool::bench
