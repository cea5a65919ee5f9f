// What /proc and /sys say of this machine. Thread-safe; never fails: what cannot be read is empty.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace evpool::bench {

// The whole file.
[[nodiscard]] std::string read_file(const std::string& path);

// The file with each stretch of white space as one space, and none at its ends: "4096 131072
// 6291456" where the kernel has tabs.
[[nodiscard]] std::string read_words(const std::string& path);

// The words of a `text` as read_words makes them.
[[nodiscard]] std::string words_of(std::string_view text);

// The value of the first line "field : value" of /proc/cpuinfo.
[[nodiscard]] std::string cpuinfo_field(std::string_view cpuinfo, std::string_view field);

// "yes" or "no", of the flags in /proc/cpuinfo; empty where there is no such field (only x86 has
// it).
[[nodiscard]] std::string runs_in_hypervisor(std::string_view cpuinfo);

// As a server counts them for its default number of workers: threadpool/usable_cpus.h.
[[nodiscard]] int usable_cpus();

// The CPUs' governors, each named once: "performance", or "performance powersave".
[[nodiscard]] std::string read_governors();

inline constexpr const char* kClockSourceFile =
    "/sys/devices/system/clocksource/clocksource0/current_clocksource";

}  // namespace evpool::bench
