// How many CPUs this process may use. A pool has as many workers unless it is told otherwise, and
// so has a server.
//
// Two things limit it. The affinity says on which CPUs its threads may run (taskset, a cgroup's
// cpuset). A cgroup's quota says for how much of each period they may run at all: 150 ms of 100 ms
// are one and a half CPUs. Containers are mostly limited by the quota (docker --cpus, a limit in
// Kubernetes), and with more workers than that the kernel stops them all for a part of each period.
//
// Any thread may call anything; nothing is remembered, so that each call sees the limits of now.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace evpool {

// The lesser of the CPUs in this thread's affinity and the quota, rounded up; at least 1. What
// cannot be read limits nothing. Throws std::bad_alloc.
[[nodiscard]] std::size_t usable_cpus();

// The least quota of this process's cgroup and of all above it, in CPUs, rounded up; nothing: there
// is none. Knows version 2 (cpu.max) and version 1 (cpu.cfs_quota_us, cpu.cfs_period_us), also both
// at once. Reads proc/self/cgroup, proc/self/mountinfo and what they name below `root`, which a
// test may choose.
[[nodiscard]] std::optional<std::size_t> cgroup_cpu_limit(const std::string& root = "");

// For messages: which CPUs there are, and which of them this thread has, as
// "online are 0-3,8, and this thread may run on 0-1".
[[nodiscard]] std::string describe_cpus();

}  // namespace evpool
