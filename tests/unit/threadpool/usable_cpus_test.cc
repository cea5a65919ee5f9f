// The quota of cgroups, read from made-up /proc and /sys trees.
#include "threadpool/usable_cpus.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace evpool {
namespace {

using Limit = std::optional<std::size_t>;

class UsableCpus : public testing::Test {
 protected:
  UsableCpus() {
    std::string pattern = testing::TempDir() + "usable_cpus_XXXXXX";
    root_ = mkdtemp(pattern.data());
  }
  ~UsableCpus() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  // The usual places of version 2.
  void use_version_2(const std::string& cgroup) {
    write("/proc/self/cgroup", "0::" + cgroup + "\n");
    write("/proc/self/mountinfo",
          "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
          "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  [[nodiscard]] Limit limit() const { return cgroup_cpu_limit(root_); }

 private:
  std::string root_;
};

TEST_F(UsableCpus, no_quota_and_no_files_limit_nothing) {
  EXPECT_EQ(limit(), std::nullopt);
  use_version_2("/a");
  EXPECT_EQ(limit(), std::nullopt);
  write("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
  EXPECT_EQ(limit(), std::nullopt);
}

TEST_F(UsableCpus, a_quota_is_rounded_up_to_whole_cpus) {
  use_version_2("/a");
  const struct {
    const char* text;
    Limit expected;
  } cases[] = {
      {"100000 100000\n", 1}, {"100001 100000\n", 2},
      {"150000 100000\n", 2}, {"1000 100000\n", 1},
      {"400000 50000\n", 8},  {"9223372036854775807 1000", 9223372036854776},
  };
  for (const auto& [text, expected] : cases) {
    write("/sys/fs/cgroup/a/cpu.max", text);
    EXPECT_EQ(limit(), expected) << text;
  }
}

TEST_F(UsableCpus, what_is_no_quota_limits_nothing) {
  use_version_2("/a");
  for (const char* text : {"", "\n", "max", "150000", "150000 0\n", "0 100000", "-1 100000", "x y",
                           "99999999999999999999 100000"}) {
    write("/sys/fs/cgroup/a/cpu.max", text);
    EXPECT_EQ(limit(), std::nullopt) << text;
  }
  for (const char* text : {"", "\n", "nonsense", "0:", "::", "0::", "4:cpu\n"}) {
    write("/proc/self/cgroup", text);
    EXPECT_EQ(limit(), std::nullopt) << text;
  }
  use_version_2("/a");
  write("/sys/fs/cgroup/a/cpu.max", "200000 100000");
  for (const char* text : {"", "\n", "- - - -", "30 22 0:26 / /sys/fs/cgroup rw - cgroup2"}) {
    write("/proc/self/mountinfo", text);
    EXPECT_EQ(limit(), std::nullopt) << text;
  }
}

TEST_F(UsableCpus, the_least_quota_on_the_way_up_counts) {
  use_version_2("/kubepods/pod1/container");
  write("/sys/fs/cgroup/kubepods/pod1/container/cpu.max", "max 100000\n");
  write("/sys/fs/cgroup/kubepods/pod1/cpu.max", "300000 100000\n");
  write("/sys/fs/cgroup/kubepods/cpu.max", "700000 100000\n");
  EXPECT_EQ(limit(), 3U);
  write("/sys/fs/cgroup/kubepods/pod1/container/cpu.max", "500000 100000\n");
  EXPECT_EQ(limit(), 3U) << "a parent binds its children";
  write("/sys/fs/cgroup/kubepods/pod1/container/cpu.max", "50000 100000\n");
  EXPECT_EQ(limit(), 1U);
}

TEST_F(UsableCpus, a_container_sees_its_own_cgroup_as_the_mount_point) {
  use_version_2("/");
  write("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(limit(), 2U) << "with a cgroup namespace";
  write("/proc/self/cgroup", "0::/docker/0123\n");
  write("/proc/self/mountinfo", "30 22 0:26 /docker/0123 /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  EXPECT_EQ(limit(), 2U) << "without one";
  write("/proc/self/cgroup", "0::/docker/0123/child\n");
  write("/sys/fs/cgroup/child/cpu.max", "100000 100000\n");
  EXPECT_EQ(limit(), 1U);
  write("/proc/self/mountinfo", "30 22 0:26 /.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  EXPECT_EQ(limit(), 2U) << "mounted above the namespace";
}

TEST_F(UsableCpus, a_mount_of_other_cgroups_limits_nothing) {
  use_version_2("/docker/0123");
  write("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  write("/proc/self/mountinfo", "30 22 0:26 /docker/012 /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  EXPECT_EQ(limit(), std::nullopt);
  use_version_2("/../outside");
  EXPECT_EQ(limit(), std::nullopt);
}

TEST_F(UsableCpus, version_1_has_a_quota_too) {
  write("/proc/self/cgroup", "12:memory:/a\n4:cpu,cpuacct:/docker/0123\n2:cpuset:/\n");
  write("/proc/self/mountinfo",
        "31 25 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
        "32 25 0:28 /docker /sys/fs/cgroup/cpu,cpuacct rw shared:10 master:1 - cgroup cgroup "
        "rw,cpu,cpuacct\n");
  EXPECT_EQ(limit(), std::nullopt);
  write("/sys/fs/cgroup/cpu,cpuacct/0123/cpu.cfs_quota_us", "-1\n");
  write("/sys/fs/cgroup/cpu,cpuacct/0123/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(limit(), std::nullopt);
  write("/sys/fs/cgroup/cpu,cpuacct/0123/cpu.cfs_quota_us", "250000\n");
  EXPECT_EQ(limit(), 3U);
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(limit(), 2U);
  // Not the controller, though its name begins alike.
  write("/proc/self/cgroup", "4:cpuacct:/docker/0123\n");
  EXPECT_EQ(limit(), std::nullopt);
}

TEST_F(UsableCpus, both_versions_at_once_count) {
  write("/proc/self/cgroup", "4:cpu:/a:b\n1:name=systemd:/\n0::/c\n");
  write("/proc/self/mountinfo",
        "32 25 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "41 25 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  write("/sys/fs/cgroup/cpu/a:b/cpu.cfs_quota_us", "300000\n");
  write("/sys/fs/cgroup/cpu/a:b/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(limit(), 3U);
  write("/sys/fs/cgroup/unified/c/cpu.max", "200000 100000\n");
  EXPECT_EQ(limit(), 2U);
}

TEST_F(UsableCpus, mount_points_with_blanks_are_found) {
  write("/proc/self/cgroup", "0::/a\n");
  write("/proc/self/mountinfo", "41 25 0:38 / /my\\040groups\\134x rw - cgroup2 cgroup2 rw\n");
  write("/my groups\\x/a/cpu.max", "200000 100000\n");
  EXPECT_EQ(limit(), 2U);
}

TEST_F(UsableCpus, there_is_always_one) { EXPECT_GE(usable_cpus(), 1U); }

}  // namespace
}  // namespace evpool
