#include "bench/load/doctor_checks.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bench/load/machine_probe.h"

namespace evpool::bench {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

std::string verdict(const Check& check) {
  // An advice is given exactly when there is something to advise about.
  EXPECT_EQ(check.advice.empty(), check.verdict == Verdict::ok) << to_line(check);
  EXPECT_FALSE(check.what.empty());
  EXPECT_FALSE(check.value.empty()) << check.what;
  return name_of(check.verdict);
}

TEST(DoctorChecks, a_clock_that_needs_a_system_call_is_bad) {
  EXPECT_EQ(verdict(judge_clock_source("tsc")), "ok");
  EXPECT_EQ(verdict(judge_clock_source("kvm-clock")), "ok");
  EXPECT_EQ(verdict(judge_clock_source("hpet")), "bad");
  EXPECT_EQ(verdict(judge_clock_source("acpi_pm")), "bad");
  EXPECT_EQ(verdict(judge_clock_source("a new one")), "note");
  EXPECT_EQ(judge_clock_source("hpet").value, "hpet");
}

TEST(DoctorChecks, a_clock_is_judged_by_its_cost_and_by_its_steps) {
  EXPECT_EQ(verdict(judge_clock_cost({.call_ns = 25, .step_ns = 20})), "ok");
  EXPECT_EQ(verdict(judge_clock_cost({.call_ns = 300, .step_ns = 20})), "note");
  EXPECT_EQ(verdict(judge_clock_cost({.call_ns = 25, .step_ns = 1'000})), "note");
  EXPECT_EQ(verdict(judge_clock_cost({.call_ns = 2'500, .step_ns = 20})), "bad");
  EXPECT_EQ(verdict(judge_clock_cost({.call_ns = 25, .step_ns = 4'000'000})), "bad");
  EXPECT_EQ(judge_clock_cost({.call_ns = 25, .step_ns = 20}).value,
            "25 ns a call, in steps of 20 ns");
}

TEST(DoctorChecks, any_governor_but_performance_is_noted) {
  EXPECT_EQ(verdict(judge_governors("performance")), "ok");
  EXPECT_EQ(verdict(judge_governors("performance powersave")), "note");
  EXPECT_EQ(verdict(judge_governors("schedutil")), "note");
  EXPECT_EQ(verdict(judge_governors("")), "note");
}

TEST(DoctorChecks, three_threads_want_three_cpus) {
  EXPECT_EQ(verdict(judge_cpus(3)), "ok");
  EXPECT_EQ(verdict(judge_cpus(2)), "note");
  EXPECT_EQ(verdict(judge_cpus(1)), "bad");
}

TEST(DoctorChecks, a_cpu_quota_is_noted) {
  EXPECT_EQ(verdict(judge_cpu_quota("max 100000")), "ok");
  EXPECT_EQ(verdict(judge_cpu_quota("")), "ok");  // the root group has none
  EXPECT_EQ(verdict(judge_cpu_quota("150000 100000")), "note");
  EXPECT_EQ(judge_cpu_quota("150000 100000").value, "1.5 CPUs in each 100 ms");
  EXPECT_EQ(judge_cpu_quota("150000 0").value, "unknown");
  EXPECT_EQ(judge_cpu_quota("nonsense").value, "unknown");
}

TEST(DoctorChecks, a_virtual_machine_is_noted) {
  EXPECT_EQ(verdict(judge_hypervisor("no")), "ok");
  EXPECT_EQ(verdict(judge_hypervisor("yes")), "note");
  EXPECT_EQ(judge_hypervisor("").value, "unknown");
}

TEST(DoctorChecks, reads_the_kernels_cpu_times) {
  const CpuTimes times =
      parse_cpu_times("cpu  1 2 4 1000 2000 8 16 32 1 2\ncpu0 9 9 9 9 9 9 9 9\n");
  EXPECT_EQ(times.busy, 1U + 2 + 4 + 8 + 16);  // neither idle nor waiting for a disk, nor guests
  EXPECT_EQ(times.steal, 32U);
  EXPECT_EQ(parse_cpu_times("").busy, 0U);
  EXPECT_EQ(parse_cpu_times("cpu 1 2 3").busy, 0U);
  EXPECT_EQ(parse_cpu_times("intr 1 2 4 1000 2000 8 16 32 1 2").busy, 0U);
}

TEST(DoctorChecks, steal_is_a_share_of_the_time_that_was_wanted) {
  const CpuTimes before = {.busy = 1'000, .steal = 50};
  const auto after = [](std::uint64_t busy, std::uint64_t steal) {
    return CpuTimes{.busy = 1'000 + busy, .steal = 50 + steal};
  };
  EXPECT_EQ(verdict(judge_steal(before, after(125, 0))), "ok");
  EXPECT_EQ(verdict(judge_steal(before, after(125, 1))), "ok");
  EXPECT_EQ(verdict(judge_steal(before, after(98, 2))), "note");
  EXPECT_EQ(judge_steal(before, after(98, 2)).value, "2.00 %");
  EXPECT_EQ(verdict(judge_steal(before, after(90, 10))), "bad");
  EXPECT_EQ(judge_steal(before, before).value, "unknown");
  EXPECT_EQ(judge_steal({}, {}).value, "unknown");
  EXPECT_TRUE(judge_steal(before, after(125, 0)).of_noise);
}

TEST(DoctorChecks, reads_a_processs_time_whatever_its_name) {
  const ProcessTime time =
      parse_process_time("7 (a) b (c) S 1 7 7 0 -1 4194560 90 91 92 93 100 23 95 96 20 0 1 0\n");
  EXPECT_EQ(time.name, "a) b (c");
  EXPECT_EQ(time.ticks, 123U);
  EXPECT_EQ(parse_process_time("").name, "");
  EXPECT_EQ(parse_process_time("7 (short) S 1 7").name, "");
  EXPECT_EQ(parse_process_time("7 )backwards( S 1 7 7 0 -1 4 90 91 92 93 1 2 95").name, "");
}

TEST(DoctorChecks, other_processes_are_noise) {
  EXPECT_EQ(verdict(judge_others(0.01, "")), "ok");
  EXPECT_EQ(verdict(judge_others(0.1, "cc1plus (pid 7)")), "note");
  EXPECT_EQ(verdict(judge_others(0.9, "cc1plus (pid 7)")), "bad");
  EXPECT_EQ(judge_others(0.9, "cc1plus (pid 7)").value, "0.90 CPUs, most by cc1plus (pid 7)");
  EXPECT_EQ(judge_others(0.01, "").value, "0.01 CPUs");
  EXPECT_TRUE(judge_others(0.9, "").of_noise);
}

TEST(DoctorChecks, a_load_average_that_is_not_low_is_noted) {
  EXPECT_EQ(verdict(judge_load_average("0.37 0.70 0.97 1/95 27405")), "ok");
  EXPECT_EQ(verdict(judge_load_average("1.37 0.70 0.97 1/95 27405")), "note");
  EXPECT_EQ(judge_load_average("").value, "unknown");
}

TEST(DoctorChecks, both_socket_buffers_must_hold_what_is_asked) {
  EXPECT_EQ(verdict(judge_socket_buffers("4194304", "4194304")), "ok");
  EXPECT_EQ(verdict(judge_socket_buffers("212992", "4194304")), "note");
  EXPECT_EQ(verdict(judge_socket_buffers("4194304", "4194303")), "note");
  EXPECT_EQ(judge_socket_buffers("", "4194304").value, "unknown");
}

TEST(DoctorChecks, twenty_thousand_connections_want_as_many_descriptors_and_ports) {
  EXPECT_EQ(verdict(judge_descriptors(1'048'576, 1'048'576)), "ok");
  EXPECT_EQ(verdict(judge_descriptors(20'000, 20'000)), "note");
  EXPECT_EQ(judge_descriptors(1'024, 1'048'576).advice.find("as root"), std::string::npos);
  EXPECT_NE(judge_descriptors(1'024, 4'096).advice.find("as root"), std::string::npos);
  EXPECT_EQ(verdict(judge_port_range("32768 60999")), "ok");
  EXPECT_EQ(verdict(judge_port_range("40001 60000")), "ok");  // both count
  EXPECT_EQ(verdict(judge_port_range("40002 60000")), "note");
  EXPECT_EQ(judge_port_range("60000").value, "unknown");
  EXPECT_EQ(judge_port_range("60000 40000").value, "unknown");
}

TEST(DoctorChecks, the_backlog_must_be_what_the_server_asks) {
  EXPECT_EQ(verdict(judge_somaxconn("4096")), "ok");
  EXPECT_EQ(verdict(judge_somaxconn("128")), "note");
  EXPECT_EQ(judge_somaxconn("many").value, "unknown");
}

TEST(DoctorChecks, pauses_are_noise) {
  const auto longest = [](nanoseconds gap) {
    return judge_longest_gap({.watched = seconds(1), .longest = gap, .lost = gap});
  };
  EXPECT_EQ(verdict(longest(microseconds(80))), "ok");
  EXPECT_EQ(verdict(longest(milliseconds(4))), "note");
  EXPECT_EQ(verdict(longest(milliseconds(40))), "bad");
  EXPECT_EQ(longest(milliseconds(4)).value, "4 ms in 1 s");
  EXPECT_TRUE(longest(milliseconds(4)).of_noise);
  const auto lost = [](nanoseconds time) {
    return judge_lost_time({.watched = seconds(1), .longest = time, .lost = time});
  };
  EXPECT_EQ(verdict(lost(milliseconds(2))), "ok");
  EXPECT_EQ(verdict(lost(milliseconds(30))), "note");
  EXPECT_EQ(verdict(lost(milliseconds(300))), "bad");
  EXPECT_EQ(lost(milliseconds(30)).value, "3.00 %, pauses over 10 us");
  EXPECT_EQ(judge_lost_time({}).value, "unknown");
}

TEST(DoctorChecks, speed_is_steady_when_most_runs_take_the_same_time) {
  std::vector<nanoseconds> runs(50, milliseconds(5));
  EXPECT_EQ(verdict(judge_speed(runs)), "ok");
  for (std::size_t i = 0; i < 3; ++i) runs[i * 7] = milliseconds(50);  // a few pauses are no drift
  EXPECT_EQ(verdict(judge_speed(runs)), "ok");
  for (std::size_t i = 0; i < 10; ++i) runs[i] = microseconds(5'500);
  EXPECT_EQ(verdict(judge_speed(runs)), "note");
  for (std::size_t i = 0; i < 10; ++i) runs[i] = milliseconds(10);
  EXPECT_EQ(verdict(judge_speed(runs)), "bad");
  EXPECT_EQ(judge_speed(runs).value, "p90/p10 2.00 of 50 times the same work of 5 ms");
  EXPECT_EQ(verdict(judge_speed({milliseconds(5)})), "ok");
  EXPECT_EQ(verdict(judge_speed({nanoseconds(0)})), "ok");
}

TEST(DoctorChecks, only_noise_decides_whether_it_is_quiet) {
  std::vector<Check> checks = {judge_others(0.01, ""), judge_hypervisor("yes")};
  EXPECT_TRUE(quiet_enough(checks));
  EXPECT_FALSE(any_bad(checks));
  checks.push_back(judge_cpus(1));
  EXPECT_TRUE(quiet_enough(checks));
  EXPECT_TRUE(any_bad(checks));
  checks.pop_back();
  checks.push_back(judge_others(0.1, ""));
  EXPECT_FALSE(quiet_enough(checks));
  EXPECT_FALSE(any_bad(checks));
}

TEST(DoctorChecks, a_line_gives_the_advice_only_where_there_is_any) {
  EXPECT_EQ(to_line({.what = "a", .verdict = Verdict::ok, .value = "b", .advice = ""}),
            "ok    a: b");
  EXPECT_EQ(to_line({.what = "a", .verdict = Verdict::bad, .value = "b", .advice = "c"}),
            "bad   a: b  (c)");
}

TEST(DoctorChecks, durations_have_fitting_units) {
  EXPECT_EQ(duration_text(nanoseconds(85)), "85 ns");
  EXPECT_EQ(duration_text(nanoseconds(999'900)), "999.9 us");
  EXPECT_EQ(duration_text(microseconds(1'500)), "1.5 ms");
  EXPECT_EQ(duration_text(seconds(2)), "2 s");
}

TEST(MachineProbe, measures_what_it_says) {
  const ClockCost cost = measure_clock_cost();
  EXPECT_GT(cost.call_ns, 0);
  EXPECT_GT(cost.step_ns, 0);
  const Jitter jitter = measure_jitter(milliseconds(20));
  EXPECT_GE(jitter.watched, milliseconds(20));
  EXPECT_GT(jitter.longest, nanoseconds(0));
  EXPECT_LE(jitter.longest, jitter.watched);
  EXPECT_LE(jitter.lost, jitter.watched);
  const auto runs = measure_speed(5, milliseconds(1));
  ASSERT_EQ(runs.size(), 5U);
  // Of a machine as busy as it may be, only this much is sure: the work was not left out.
  for (const nanoseconds run : runs) EXPECT_GT(run, microseconds(20));
}

}  // namespace
}  // namespace evpool::bench
