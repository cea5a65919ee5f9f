// The flags that say what load to make, shared by evpool-bench's commands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bench/load/load_options.h"

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace evpool::bench {

// What of the load a command lets its user choose.
class LoadFlags {
 public:
  // Adds them to `command`; `options` has the defaults. Both must outlive the parsing.
  LoadFlags(CLI::App& command, LoadOptions& options);

  // --rate, --closed, --arrivals, --burst: for commands that do not choose the rate themselves.
  void add_rate();
  // --duration and --count.
  void add_length();

  // After the parsing: what follows from several flags together. Throws CLI::ValidationError.
  void finish();

 private:
  CLI::App& command_;
  LoadOptions& options_;
  std::string transport_ = "tcp";
  std::string arrivals_ = "poisson";
  std::string priority_ = "normal";
  std::string job_ = "upper";
  SizeDistribution size_;
  std::vector<std::string> mix_;
  double rate_ = 0;
  bool closed_ = false;
  std::uint64_t count_ = 0;
  CLI::Option* in_flight_option_ = nullptr;
  CLI::Option* rate_option_ = nullptr;
  CLI::Option* burst_option_ = nullptr;
  CLI::Option* count_option_ = nullptr;
  CLI::Option* duration_option_ = nullptr;
};

// For CLI::Option::transform(): these two read what numbers.h reads, and hand it to CLI11 as plain
// digits. CLI11 itself knows no suffixes, takes -1 for the largest number without a sign, and tells
// of numbers of three hundred digits.
[[nodiscard]] CLI::Validator possible_rate();
[[nodiscard]] CLI::Validator whole_number(std::uint64_t least, std::uint64_t most = UINT64_MAX);

// Those of the values that have a form of their own. All throw std::invalid_argument with a
// sentence.
[[nodiscard]] SizeDistribution parse_size(std::string_view text);  // 32, uniform:A,B, lognormal:M,S
[[nodiscard]] MixEntry parse_mix_entry(std::string_view text);     // JOB[=PAYLOAD]:WEIGHT[:SIZE]
[[nodiscard]] double parse_share(std::string_view text);           // 1%, 0.01
[[nodiscard]] double parse_load(std::string_view text);            // the same, and above 0
[[nodiscard]] Impairment parse_impairment(std::string_view text);  // drop=1%,dup=1%,reorder=1%

}  // namespace evpool::bench
