// What a run was made under, so that only like is compared with like: the options of its load and
// the machine that its generator ran on. Not what two samples are there to differ in, the server
// and the commit, nor what differs each time: the seed, the date, the command line. Thread-safe.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace evpool::bench {

// By their paths in the result: "options.mix.0.job", "provenance.kernel".
using RunConditions = std::map<std::string, nlohmann::json>;

// Of a result of kResultSchema.
[[nodiscard]] RunConditions conditions_of(const nlohmann::json& result);

struct Difference {
  std::string name;
  nlohmann::json a;  // null: there is none
  nlohmann::json b;
};

[[nodiscard]] std::vector<Difference> differences_between(const RunConditions& a,
                                                          const RunConditions& b);

// "options.rate is 100 in A and none in B"
[[nodiscard]] std::string to_string(const Difference& difference, const std::string& name_a,
                                    const std::string& name_b);

}  // namespace evpool::bench
