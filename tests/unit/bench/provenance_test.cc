#include "bench/load/provenance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/load/effective_flags.h"
#include "bench/load/machine_facts.h"

namespace evpool::bench {
namespace {

// What a shell makes of the line: its words, each followed by a newline.
std::string as_a_shell_reads_it(const std::string& line) {
  std::FILE* const shell = popen(("printf '%s\\n' " + line).c_str(), "r");
  if (shell == nullptr) return "no shell";
  std::string words;
  for (int c = std::fgetc(shell); c != EOF; c = std::fgetc(shell)) words += static_cast<char>(c);
  pclose(shell);
  return words;
}

Provenance collect(const std::vector<std::string>& arguments, std::uint64_t seed = 1) {
  return collect_provenance(arguments, seed);
}

std::string fact(const Provenance& provenance, const std::string& name) {
  for (const auto& [known, value] : provenance.facts) {
    if (known == name) return value;
  }
  return "absent";
}

TEST(Provenance, argv_can_be_given_to_a_shell_again) {
  const std::vector<std::string> arguments = {
      "bench", "--mix", "two words", "it's",    "\"quoted\"", "$HOME", "a\\b", "",
      "*",     "''",    "`true`",    "a;b&c|d", "größe",      "~",     "#x"};
  const std::string line = fact(collect(arguments), "argv");
  std::string expected;
  for (const std::string& argument : arguments) expected += argument + "\n";
  EXPECT_EQ(as_a_shell_reads_it(line), expected) << line;
}

TEST(Provenance, quotes_only_what_needs_it) {
  EXPECT_EQ(fact(collect({"./evpool-bench", "--server", "[::1]:6666", "a b", "it's", "--size=32"}),
                 "argv"),
            R"(./evpool-bench --server '[::1]:6666' 'a b' 'it'\''s' --size=32)");
}

TEST(Provenance, has_no_seed_where_nothing_is_drawn) {
  for (const auto& [name, value] : collect_provenance({"evpool-bench"}, std::nullopt).facts) {
    EXPECT_NE(name, "seed");
  }
}

TEST(Provenance, has_the_seed_and_what_is_always_known_in_order) {
  const Provenance provenance = collect({"bench"}, 18'446'744'073'709'551'615U);
  EXPECT_EQ(fact(provenance, "seed"), "18446744073709551615");
  std::vector<std::string> names;
  for (const auto& [name, value] : provenance.facts) {
    if (!name.ends_with("flags")) names.push_back(name);
  }
  ASSERT_GE(names.size(), 6U);
  names.resize(6);
  EXPECT_EQ(names,
            (std::vector<std::string>{"date", "argv", "seed", "commit", "compiler", "kernel"}));
  EXPECT_EQ(fact(provenance, "usable cpus"), std::to_string(usable_cpus()));
}

TEST(Provenance, says_of_each_part_which_optimisation_had_an_effect) {
  EXPECT_EQ(effective_flags("-O2 -Wall -O3  -fPIC"), "-Wall -O3 -fPIC");
  EXPECT_EQ(effective_flags(" -O2 -Wall "), "-O2 -Wall");
  EXPECT_EQ(effective_flags("-O0 -O1 -Og"), "-Og");
  EXPECT_EQ(effective_flags(""), "");
  const Provenance provenance = collect({"bench"});
  for (const char* const part : {"flags", "server flags", "threadpool flags"}) {
    const std::string flags = fact(provenance, part);
    EXPECT_NE(flags, "absent") << part;
    EXPECT_EQ(flags.find("-O"), flags.rfind("-O")) << part << ": " << flags;
  }
}

TEST(Provenance, the_date_is_of_the_international_form) {
  const std::string date = fact(collect({"bench"}), "date");
  std::string shape = date;
  for (char& c : shape) c = c >= '0' && c <= '9' ? '9' : c;
  EXPECT_EQ(shape, "9999-99-99T99:99:99Z") << date;
}

TEST(Provenance, leaves_out_what_is_not_known) {
  for (const auto& [name, value] : collect({}).facts) {
    EXPECT_FALSE(value.empty()) << name;
    EXPECT_EQ(value.find_first_of("\n\t"), std::string::npos) << name << ": " << value;
  }
  EXPECT_EQ(fact(collect({}), "argv"), "absent");
}

TEST(MachineFacts, reads_fields_of_cpuinfo_by_their_whole_name) {
  const std::string cpuinfo =
      "processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD  EPYC\t7\n"
      "flags\t\t: fpu vme hypervisor lahf_lm\n\nprocessor\t: 1\nmodel name\t: another\n";
  EXPECT_EQ(cpuinfo_field(cpuinfo, "model"), "1");
  EXPECT_EQ(cpuinfo_field(cpuinfo, "model name"), "AMD EPYC 7");
  EXPECT_EQ(cpuinfo_field(cpuinfo, "name"), "");
  EXPECT_EQ(runs_in_hypervisor(cpuinfo), "yes");
  EXPECT_EQ(runs_in_hypervisor("flags : fpu nohypervisor vme\n"), "no");
  EXPECT_EQ(runs_in_hypervisor("Features : fp asimd\n"), "");
}

TEST(MachineFacts, a_file_that_is_not_there_is_empty) {
  EXPECT_EQ(read_file("/proc/no_such_file"), "");
  EXPECT_EQ(read_words("/proc/no_such_file"), "");
  EXPECT_NE(read_words("/proc/version"), "");
}

}  // namespace
}  // namespace evpool::bench
