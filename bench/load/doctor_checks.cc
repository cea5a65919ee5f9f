#include "bench/load/doctor_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

namespace evpool::bench {
namespace {

// What the measurements of docs/benchmarks.md ask for.
constexpr std::uint64_t kConnections = 20'000;    // evpool-bench's most
constexpr std::uint64_t kOtherDescriptors = 100;  // a program's own, beside its connections
constexpr std::uint64_t kBuffer_bytes = 4 << 20;  // ServerOptions::receive_buffer_bytes
constexpr std::uint64_t kBacklog = 4'096;         // SOMAXCONN, which evpoold asks for
constexpr int kThreads = 3;                       // client, I/O thread, worker

// Noise. What a run of some seconds can bear is what stays below the differences that are looked
// for, a few per cent of a rate and a millisecond of a tail; the worse limits are where a rate
// or a p99 shows nothing but the noise.
constexpr double kStealNote = 0.01;  // the counters tick every 10 ms: one tick is no proof
constexpr double kStealBad = 0.05;
constexpr double kOthersNote_cpus = 0.05;
constexpr double kOthersBad_cpus = 0.5;
constexpr std::chrono::milliseconds kLongestNote{1};
constexpr std::chrono::milliseconds kLongestBad{20};
constexpr double kLostNote = 0.01;
constexpr double kLostBad = 0.10;
constexpr double kSpreadNote = 1.05;
constexpr double kSpreadBad = 1.5;

Check ok(std::string what, std::string value) {
  return {.what = std::move(what), .verdict = Verdict::ok, .value = std::move(value), .advice = {}};
}

Check note(std::string what, std::string value, std::string advice) {
  return {.what = std::move(what),
          .verdict = Verdict::note,
          .value = std::move(value),
          .advice = std::move(advice)};
}

Check bad(std::string what, std::string value, std::string advice) {
  Check check = note(std::move(what), std::move(value), std::move(advice));
  check.verdict = Verdict::bad;
  return check;
}

Check unknown(std::string what) {
  return note(std::move(what), "unknown", "it cannot be read here: look on the host");
}

// ok below `note_from`, a note below `bad_from`.
template <typename Value>
Check noise(std::string what, std::string value, std::string advice, Value measured,
            Value note_from, Value bad_from) {
  Check check = note(std::move(what), std::move(value), std::move(advice));
  if (measured < note_from) {
    check.verdict = Verdict::ok;
    check.advice.clear();
  } else if (measured >= bad_from) {
    check.verdict = Verdict::bad;
  }
  check.of_noise = true;
  return check;
}

Check noise_unknown(std::string what) {
  Check check = unknown(std::move(what));
  check.of_noise = true;
  return check;
}

template <typename Number>
std::optional<Number> parse(std::string_view text) {
  Number number{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<std::string> split(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::string per_cent(double share) { return fmt::format("{:.2f} %", 100 * share); }

template <typename Named>
bool is_one_of(std::string_view text, const Named& names) {
  return std::find(std::begin(names), std::end(names), text) != std::end(names);
}

}  // namespace

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::note:
      return "note";
    case Verdict::bad:
      break;
  }
  return "bad";
}

Check judge_clock_source(std::string_view source) {
  // Those that a process reads without a system call.
  constexpr std::string_view kFast[] = {"tsc", "arch_sys_counter", "kvm-clock",
                                        "hyperv_clocksource_tsc_page"};
  constexpr std::string_view kSlow[] = {"hpet", "acpi_pm", "jiffies", "pit", "refined-jiffies"};
  const std::string what = "clock source";
  if (source.empty()) return unknown(what);
  if (is_one_of(source, kFast)) return ok(what, std::string(source));
  const std::string advice =
      "each reading is a system call, and slow; boot with clocksource=tsc where the CPU has a "
      "stable one";
  return is_one_of(source, kSlow) ? bad(what, std::string(source), advice)
                                  : note(what, std::string(source), advice);
}

Check judge_clock_cost(const ClockCost& cost) {
  const std::string what = "clock_gettime";
  const std::string value =
      fmt::format("{:.0f} ns a call, in steps of {:.0f} ns", cost.call_ns, cost.step_ns);
  const std::string advice =
      "a request's times are read from it twice: at high rates it is part of what is measured; see "
      "the clock source";
  if (cost.call_ns >= 2'000 || cost.step_ns >= 100'000) return bad(what, value, advice);
  if (cost.call_ns >= 150 || cost.step_ns >= 1'000) return note(what, value, advice);
  return ok(what, value);
}

Check judge_governors(std::string_view governors) {
  const std::string what = "CPU governor";
  if (governors.empty()) {
    return note(what, "none seen",
                "the host or the firmware decides the frequency, which may follow the load");
  }
  if (governors == "performance") return ok(what, "performance");
  return note(what, std::string(governors),
              "the frequency follows the load, and light loads look slow: cpupower frequency-set "
              "-g performance");
}

Check judge_cpus(int cpus) {
  const std::string what = "usable CPUs";
  const std::string value =
      fmt::format("{}, {} wanted (client, I/O thread, worker)", cpus, kThreads);
  if (cpus >= kThreads) return ok(what, value);
  if (cpus == kThreads - 1) {
    return note(what, value,
                "client and server take turns on a CPU: compare rates, and read tails as upper "
                "bounds");
  }
  return bad(what, value,
             "client and server share one CPU, so each rate is that of both: use more, or another "
             "machine for one of them");
}

Check judge_cpu_quota(std::string_view cpu_max) {
  const std::string what = "CPU quota";
  const std::vector<std::string> words = split(cpu_max);
  if (words.empty() || words[0] == "max") return ok(what, "none");
  const auto quota_us = parse<std::uint64_t>(words[0]);
  const auto period_us = words.size() == 2 ? parse<std::uint64_t>(words[1]) : std::nullopt;
  if (!quota_us || !period_us || *period_us == 0) return unknown(what);
  return note(what,
              fmt::format("{:.1f} CPUs in each {} ms",
                          static_cast<double>(*quota_us) / static_cast<double>(*period_us),
                          *period_us / 1'000),
              "once it is used up all threads stand still to the period's end, a tail that is no "
              "server's: measure without it");
}

Check judge_hypervisor(std::string_view hypervisor) {
  const std::string what = "virtual machine";
  if (hypervisor.empty()) return unknown(what);
  if (hypervisor == "no") return ok(what, "no");
  return note(what, "yes",
              "its neighbours change its speed from minute to minute, and waking an idle CPU costs "
              "more: compare within one interleaved run");
}

CpuTimes parse_cpu_times(std::string_view proc_stat) {
  // "cpu  user nice system idle iowait irq softirq steal guest guest_nice"; the guests' time is in
  // user and nice as well.
  constexpr std::size_t kIdle = 4;
  constexpr std::size_t kIoWait = 5;
  constexpr std::size_t kSteal = 8;
  const std::vector<std::string> words = split(proc_stat.substr(0, proc_stat.find('\n')));
  if (words.size() <= kSteal || words[0] != "cpu") return {};
  CpuTimes times;
  for (std::size_t i = 1; i <= kSteal; ++i) {
    const auto ticks = parse<std::uint64_t>(words[i]);
    if (!ticks) return {};
    if (i == kSteal) {
      times.steal = *ticks;
    } else if (i != kIdle && i != kIoWait) {
      times.busy += *ticks;
    }
  }
  return times;
}

Check judge_steal(const CpuTimes& before, const CpuTimes& after) {
  const std::string what = "stolen by the host";
  if (after.busy <= before.busy || after.steal < before.steal) return noise_unknown(what);
  // Of the time that somebody wanted: an idle CPU loses nothing.
  const auto stolen = static_cast<double>(after.steal - before.steal);
  const double share = stolen / (stolen + static_cast<double>(after.busy - before.busy));
  return noise(what, per_cent(share),
               "the host gave the CPUs to others; measure at another hour or on another machine",
               share, kStealNote, kStealBad);
}

ProcessTime parse_process_time(std::string_view proc_pid_stat) {
  // "pid (name) state ppid ...": the name may have spaces and parentheses of its own. Of what
  // follows it, utime and stime are the 12th and the 13th (proc(5): fields 14 and 15).
  constexpr std::size_t kUser = 11;
  constexpr std::size_t kSystem = 12;
  const std::size_t open = proc_pid_stat.find('(');
  const std::size_t close = proc_pid_stat.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return {};
  const std::vector<std::string> words = split(proc_pid_stat.substr(close + 1));
  if (words.size() <= kSystem) return {};
  const auto user = parse<std::uint64_t>(words[kUser]);
  const auto system = parse<std::uint64_t>(words[kSystem]);
  if (!user || !system) return {};
  return {.name = std::string(proc_pid_stat.substr(open + 1, close - open - 1)),
          .ticks = *user + *system};
}

Check judge_others(double cpus_used, std::string_view busiest) {
  std::string value = fmt::format("{:.2f} CPUs", cpus_used);
  if (!busiest.empty()) value += fmt::format(", most by {}", busiest);
  return noise("used by other processes", std::move(value),
               "they take CPU from client and server: end them, or wait", cpus_used,
               kOthersNote_cpus, kOthersBad_cpus);
}

Check judge_load_average(std::string_view loadavg) {
  const std::string what = "load average";
  const std::vector<std::string> words = split(loadavg);
  const auto minute = words.empty() ? std::nullopt : parse<double>(words[0]);
  if (!minute) return unknown(what);
  const std::string value = fmt::format("{:.2f} over the last minute", *minute);
  if (*minute < 0.5) return ok(what, value);
  return note(what, value, "something has been running, and may again; a cron job, a build?");
}

Check judge_socket_buffers(std::string_view rmem_max, std::string_view wmem_max) {
  const std::string what = "socket buffers";
  const auto receive = parse<std::uint64_t>(rmem_max);
  const auto send = parse<std::uint64_t>(wmem_max);
  if (!receive || !send) return unknown(what);
  const std::string value =
      fmt::format("rmem_max {}, wmem_max {}, {} wanted", *receive, *send, kBuffer_bytes);
  if (*receive >= kBuffer_bytes && *send >= kBuffer_bytes) return ok(what, value);
  return note(what, value,
              fmt::format("UDP loses the bursts that do not fit: sysctl -w net.core.rmem_max={0} "
                          "net.core.wmem_max={0}",
                          kBuffer_bytes));
}

Check judge_descriptors(std::uint64_t soft, std::uint64_t hard) {
  const std::string what = "descriptors";
  constexpr std::uint64_t kWanted = kConnections + kOtherDescriptors;
  const std::string value =
      fmt::format("{}, {} wanted for {} connections", soft, kWanted, kConnections);
  if (soft >= kWanted) return ok(what, value);
  const std::string advice = fmt::format("runs of more connections fail: ulimit -n {}", kWanted);
  return note(what, value,
              hard >= kWanted ? advice : advice + ", as root: the hard limit is lower");
}

Check judge_port_range(std::string_view range) {
  const std::string what = "local ports";
  const std::vector<std::string> words = split(range);
  const auto first = words.size() == 2 ? parse<std::uint64_t>(words[0]) : std::nullopt;
  const auto last = words.size() == 2 ? parse<std::uint64_t>(words[1]) : std::nullopt;
  if (!first || !last || *last < *first) return unknown(what);
  const std::uint64_t ports = *last - *first + 1;
  const std::string value =
      fmt::format("{} ({} to {}), {} wanted", ports, *first, *last, kConnections);
  if (ports >= kConnections) return ok(what, value);
  return note(what, value,
              "more connections to one address fail, and so does reconnecting often: sysctl -w "
              "net.ipv4.ip_local_port_range='10000 65000'");
}

Check judge_somaxconn(std::string_view somaxconn) {
  const std::string what = "accept backlog";
  const auto backlog = parse<std::uint64_t>(somaxconn);
  if (!backlog) return unknown(what);
  const std::string value = fmt::format("somaxconn {}, {} wanted", *backlog, kBacklog);
  if (*backlog >= kBacklog) return ok(what, value);
  return note(what, value,
              fmt::format("of more connections at once some are tried again after a second: sysctl "
                          "-w net.core.somaxconn={}",
                          kBacklog));
}

Check judge_longest_gap(const Jitter& jitter) {
  return noise<std::chrono::nanoseconds>(
      "longest pause",
      fmt::format("{} in {}", duration_text(jitter.longest), duration_text(jitter.watched)),
      "a running thread stood still for so long: p99.9 and max are the machine's, not the server's",
      jitter.longest, kLongestNote, kLongestBad);
}

Check judge_lost_time(const Jitter& jitter) {
  const std::string what = "time lost in pauses";
  if (jitter.watched.count() <= 0) return noise_unknown(what);
  const double share =
      static_cast<double>(jitter.lost.count()) / static_cast<double>(jitter.watched.count());
  return noise(what,
               fmt::format("{}, pauses over {}", per_cent(share), duration_text(Jitter::kGap)),
               "interrupts, other processes or the host take the CPU: rates fall by as much", share,
               kLostNote, kLostBad);
}

Check judge_speed(std::vector<std::chrono::nanoseconds> runs) {
  std::sort(runs.begin(), runs.end());
  const auto fast = runs[runs.size() / 10];
  const auto slow = runs[(runs.size() - 1) * 9 / 10];
  const double spread =
      static_cast<double>(slow.count()) /
      static_cast<double>(std::max<std::chrono::nanoseconds::rep>(fast.count(), 1));
  return noise("steadiness of speed",
               fmt::format("p90/p10 {:.2f} of {} times the same work of {}", spread, runs.size(),
                           duration_text(runs[runs.size() / 2])),
               "the CPU's speed changes under the measurement: interleave what is compared, many "
               "short runs of each",
               spread, kSpreadNote, kSpreadBad);
}

bool quiet_enough(std::span<const Check> checks) {
  return std::none_of(checks.begin(), checks.end(), [](const Check& check) {
    return check.of_noise && check.verdict != Verdict::ok;
  });
}

bool any_bad(std::span<const Check> checks) {
  return std::any_of(checks.begin(), checks.end(),
                     [](const Check& check) { return check.verdict == Verdict::bad; });
}

std::string to_line(const Check& check) {
  std::string line = fmt::format("{:<5} {}: {}", name_of(check.verdict), check.what, check.value);
  if (!check.advice.empty()) line += fmt::format("  ({})", check.advice);
  return line;
}

std::string duration_text(std::chrono::nanoseconds duration) {
  const auto ns = static_cast<double>(duration.count());
  if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
  if (ns < 1e6) return fmt::format("{:.4g} us", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:.4g} ms", ns / 1e6);
  return fmt::format("{:.4g} s", ns / 1e9);
}

}  // namespace evpool::bench
