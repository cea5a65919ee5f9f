#include "bench/load/machine_facts.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "threadpool/usable_cpus.h"

namespace evpool::bench {

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return {};
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string words_of(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::string words;
  for (std::string word; in >> word;) words += (words.empty() ? "" : " ") + word;
  return words;
}

std::string read_words(const std::string& path) { return words_of(read_file(path)); }

std::string cpuinfo_field(std::string_view cpuinfo, std::string_view field) {
  std::istringstream in{std::string(cpuinfo)};
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string_view name = std::string_view(line).substr(0, colon);
    if (name.substr(0, name.find_last_not_of(" \t") + 1) != field) continue;
    return words_of(std::string_view(line).substr(colon + 1));
  }
  return {};
}

std::string runs_in_hypervisor(std::string_view cpuinfo) {
  const std::string flags = cpuinfo_field(cpuinfo, "flags");
  if (flags.empty()) return {};
  return (" " + flags + " ").find(" hypervisor ") != std::string::npos ? "yes" : "no";
}

int usable_cpus() { return static_cast<int>(evpool::usable_cpus()); }

std::string read_governors() {
  std::set<std::string> governors;
  std::error_code ignored;
  for (std::filesystem::directory_iterator policy("/sys/devices/system/cpu/cpufreq", ignored), end;
       !ignored && policy != end; policy.increment(ignored)) {
    const std::string governor = read_words((policy->path() / "scaling_governor").string());
    if (!governor.empty()) governors.insert(governor);
  }
  std::string all;
  for (const std::string& governor : governors) all += (all.empty() ? "" : " ") + governor;
  return all;
}

}  // namespace evpool::bench
