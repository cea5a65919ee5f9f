// compare and gate run as from a command line, on results that a test makes up.
#pragma once

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "bench/commands.h"

namespace evpool::bench {

using nlohmann::json;

inline json result_with(double jobs_per_second) {
  return {{"schema", "evpool-bench-result/1"},
          {"command", "run"},
          {"valid", true},
          {"invalid", json::array()},
          {"options", {{"connections", 1}}},
          {"seconds", 3.0},
          {"jobs_per_second", jobs_per_second},
          {"latency_us",
           {{"p50", 1e6 / jobs_per_second}, {"p99", 2e6 / jobs_per_second}, {"p99.9", 500.0}}},
          {"generator", {{"cpu_us_per_job", 1.5}}},
          {"server", {{"wakeups", 12}}},
          {"series", json::array({{{"sent", 5}}})}};
}

// Around `middle`, each value another one, to 3 % below and above; no two samples of different
// middles have values in common.
inline std::vector<json> runs_around(double middle, int runs = 10) {
  std::vector<json> results;
  for (int run = 0; run < runs; ++run) {
    const double part = runs == 1 ? 0 : 2.0 * run / (runs - 1) - 1;
    results.push_back(result_with(middle * (1 + 0.03 * part)));
  }
  return results;
}

// What a command did.
struct Outcome {
  int status = -1;
  std::string out;
  std::string error;
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class CompareCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = testing::TempDir() + "evpool_compare_XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(path(name)) << text;
    return path(name);
  }
  std::string write(const std::string& name, const std::vector<json>& results) {
    return write(name, json(results).dump());
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name)).rdbuf();
    return text.str();
  }

  // A command that notes `letter` in the file "order" and prints the result.
  std::string printing(char letter, const json& result) {
    const std::string file = write(std::string("result_") + letter, result.dump());
    return std::string("printf ") + letter + " >> '" + path("order") + "'; cat '" + file + "'";
  }

  // REQUIRES: the command line is right.
  static Outcome run(std::vector<std::string> arguments) {
    std::function<int()> chosen = parse(std::move(arguments));
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Outcome outcome;
    outcome.status = chosen ? chosen() : -1;
    outcome.error = testing::internal::GetCapturedStderr();
    outcome.out = testing::internal::GetCapturedStdout();
    return outcome;
  }

  // As main does, but that the App ends before `chosen` is called.
  static std::function<int()> parse(std::vector<std::string> arguments) {
    CLI::App app("test", "evpool-bench");
    app.require_subcommand(1);
    std::function<int()> chosen;
    add_compare_command(app, chosen);
    add_gate_command(app, chosen);
    arguments.insert(arguments.begin(), "evpool-bench");
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    app.parse(static_cast<int>(argv.size()), argv.data());
    return chosen;
  }

  // What CLI11 says of a command line that is wrong; empty when it is right.
  static std::string usage_error(std::vector<std::string> arguments) {
    try {
      (void)parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
      return error.what();
    }
    return "";
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace evpool::bench
