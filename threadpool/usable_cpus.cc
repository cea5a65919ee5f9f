#include "threadpool/usable_cpus.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

namespace evpool {
namespace {

// --- Affinity ---

// The CPUs on which this thread may run; empty if the kernel does not say.
std::vector<int> affinity() {
  struct Free {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
  };
  // The kernel refuses a set that is smaller than its own, which may be for many thousands.
  constexpr int kMostCpus = 1 << 20;
  for (int size = CPU_SETSIZE; size <= kMostCpus; size *= 2) {
    const std::unique_ptr<cpu_set_t, Free> set(CPU_ALLOC(static_cast<std::size_t>(size)));
    if (set == nullptr) return {};
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(size));
    CPU_ZERO_S(bytes, set.get());
    if (sched_getaffinity(0, bytes, set.get()) == 0) {
      std::vector<int> cpus;
      for (int cpu = 0; cpu < size; ++cpu) {
        if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, set.get())) cpus.push_back(cpu);
      }
      return cpus;
    }
    if (errno != EINVAL) return {};
  }
  return {};
}

// As the kernel writes it: "0-3,8".
std::string list_of(const std::vector<int>& cpus) {
  std::string list;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!list.empty()) list += ',';
    list += std::to_string(cpus[i]);
    if (last > i) list += '-' + std::to_string(cpus[last]);
    i = last + 1;
  }
  return list.empty() ? "unknown" : list;
}

// --- Quotas ---

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

bool contains(const std::vector<std::string>& parts, const std::string& wanted) {
  return std::find(parts.begin(), parts.end(), wanted) != parts.end();
}

std::optional<std::size_t> rounded_up(std::int64_t quota_us, std::int64_t period_us) {
  if (quota_us <= 0 || period_us <= 0) return std::nullopt;
  const std::int64_t cpus = quota_us / period_us + (quota_us % period_us == 0 ? 0 : 1);
  return static_cast<std::size_t>(cpus);
}

// "max 100000" or "150000 100000".
std::optional<std::size_t> read_cpu_max(const std::string& folder) {
  std::int64_t quota_us = 0;
  std::int64_t period_us = 0;
  std::ifstream file(folder + "/cpu.max");
  if (!(file >> quota_us >> period_us)) return std::nullopt;
  return rounded_up(quota_us, period_us);
}

// A quota of -1 is none.
std::optional<std::size_t> read_cfs_quota(const std::string& folder) {
  std::int64_t quota_us = 0;
  std::int64_t period_us = 0;
  std::ifstream quota(folder + "/cpu.cfs_quota_us");
  std::ifstream period(folder + "/cpu.cfs_period_us");
  if (!(quota >> quota_us) || !(period >> period_us)) return std::nullopt;
  return rounded_up(quota_us, period_us);
}

// In mountinfo a blank, a tab, a line's end and a backslash are written as \ and three octal
// digits.
std::string unescaped(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto is_octal = [](char digit) { return digit >= '0' && digit <= '7'; };
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

struct Hierarchy {
  bool version_2 = false;
  std::string cgroup;            // this process's, from the hierarchy's root
  std::string mount_root = {};   // which cgroup is mounted
  std::string mount_point = {};  // and where
};

// A line of mountinfo: "id parent device root point options tags... - type source super_options".
// False: it is not where this hierarchy is mounted.
bool find_mount(const std::string& line, Hierarchy& hierarchy) {
  const std::vector<std::string> words = split(line, ' ');
  const auto dash = std::find(words.begin(), words.end(), "-");
  if (dash - words.begin() < 6 || words.end() - dash < 4) return false;
  const bool matches = hierarchy.version_2
                           ? dash[1] == "cgroup2"
                           : dash[1] == "cgroup" && contains(split(dash[3], ','), "cpu");
  if (!matches) return false;
  hierarchy.mount_root = unescaped(words[3]);
  hierarchy.mount_point = unescaped(words[4]);
  return true;
}

// The cgroup as a path below the mount point, "" or "/a/b". Nothing: this mount shows other
// cgroups. A container without a cgroup namespace sees the host's path, and a mount of that very
// cgroup.
std::optional<std::string> below_mount(const Hierarchy& hierarchy) {
  const auto leads_out = [](const std::string& path) { return contains(split(path, '/'), ".."); };
  // Mounted is a cgroup above all that this process can name.
  if (leads_out(hierarchy.mount_root)) return "";
  if (leads_out(hierarchy.cgroup)) return std::nullopt;
  const std::string above = hierarchy.mount_root == "/" ? "" : hierarchy.mount_root;
  const std::string path = hierarchy.cgroup == "/" ? "" : hierarchy.cgroup;
  const bool is_below =
      path.starts_with(above) && (path.size() == above.size() || path[above.size()] == '/');
  if (!is_below) return std::nullopt;
  return path.substr(above.size());
}

std::optional<std::size_t> lesser(std::optional<std::size_t> one,
                                  std::optional<std::size_t> other) {
  if (!one || !other) return one ? one : other;
  return std::min(*one, *other);
}

// Of the cgroup and of each above it, as far as is mounted: a parent's quota binds its children.
std::optional<std::size_t> least_quota(const Hierarchy& hierarchy, const std::string& root) {
  const std::optional<std::string> below = below_mount(hierarchy);
  if (!below) return std::nullopt;
  std::optional<std::size_t> least;
  std::string path = *below;
  for (;;) {
    std::string folder = root;
    folder.append(hierarchy.mount_point).append(path);
    least = lesser(least, hierarchy.version_2 ? read_cpu_max(folder) : read_cfs_quota(folder));
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return least;
    path.resize(slash);
  }
}

}  // namespace

std::optional<std::size_t> cgroup_cpu_limit(const std::string& root) {
  std::optional<std::size_t> least;
  std::ifstream cgroups(root + "/proc/self/cgroup");
  // "0::/a/b" is version 2's; "4:cpu,cpuacct:/a/b" is version 1's.
  for (std::string line; std::getline(cgroups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    Hierarchy hierarchy{.version_2 = controllers.empty(), .cgroup = line.substr(second + 1)};
    if (!hierarchy.version_2 && !contains(split(controllers, ','), "cpu")) continue;
    std::ifstream mounts(root + "/proc/self/mountinfo");
    for (std::string mount; std::getline(mounts, mount);) {
      if (find_mount(mount, hierarchy)) least = lesser(least, least_quota(hierarchy, root));
    }
  }
  return least;
}

std::size_t usable_cpus() {
  const std::size_t allowed = std::max<std::size_t>(1, affinity().size());
  return std::min(allowed, cgroup_cpu_limit().value_or(allowed));
}

std::string describe_cpus() {
  std::string online;
  std::ifstream file("/sys/devices/system/cpu/online");
  if (!std::getline(file, online) || online.empty()) online = "unknown";
  return "online are " + online + ", and this thread may run on " + list_of(affinity());
}

}  // namespace evpool
