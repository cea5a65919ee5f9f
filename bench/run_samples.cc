#include "bench/run_samples.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "bench/child_program.h"
#include "bench/exit_status.h"
#include "bench/interrupts.h"
#include "bench/report_json.h"
#include "console/diagnostic.h"
#include "protocol/suggestion.h"

namespace evpool::bench {
namespace {

using nlohmann::json;

// A result is some kilobytes, and a hundred bytes more for each interval of its series.
constexpr std::size_t kMaxInputBytes = std::size_t{64} << 20;

// --- Metrics -----------------------------------------------------------------------------------

// A dot separates names, but names have dots too (p99.9): the longest name that is there is taken
// first. Null when there is no number at the path.
const json* find_number(const json& object, std::string_view path) {
  for (std::size_t end = path.size(); end != std::string_view::npos && end > 0;
       end = path.rfind('.', end - 1)) {
    const auto member = object.find(std::string(path.substr(0, end)));
    if (member == object.end()) continue;
    if (end == path.size()) {
      if (member->is_number()) return &*member;
    } else if (member->is_object()) {
      if (const json* found = find_number(*member, path.substr(end + 1))) return found;
    }
  }
  return nullptr;
}

void list_numbers(const json& object, const std::string& prefix, std::vector<std::string>& paths) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_number()) paths.push_back(prefix + name);
    if (value.is_object()) list_numbers(value, prefix + name + '.', paths);
  }
}

// --- Results -----------------------------------------------------------------------------------

// `where` names the run in what is thrown.
double value_of(const json& result, const std::string& metric, const std::string& where) {
  if (!result.is_object() || result.value("schema", json()) != kResultSchema ||
      !result.value("valid", json()).is_boolean()) {
    throw Failure(kUsage,
                  fmt::format("{}: not a result of schema {} (give what 'evpool-bench run --json' "
                              "prints)",
                              where, kResultSchema));
  }
  if (!result["valid"].get<bool>()) {
    std::vector<std::string> reasons;
    for (const json& reason : result.value("invalid", json::array())) {
      reasons.push_back(reason.is_string() ? reason.get<std::string>() : reason.dump());
    }
    if (reasons.empty()) reasons.emplace_back("it does not say why");
    throw Failure(kInvalid, fmt::format("{}: the run is invalid: {} (repeat it)", where,
                                        fmt::join(reasons, "; ")));
  }
  const json* const wrong = find_number(result, "account.wrong");
  if (wrong != nullptr && wrong->get<double>() > 0) {
    throw Failure(kInvalid, fmt::format("{}: {} replies were wrong (find out why first: a server "
                                        "may be as fast as it likes with those)",
                                        where, wrong->dump()));
  }
  const json* number = find_number(result, metric);
  if (number != nullptr) return number->get<double>();
  std::vector<std::string> paths;
  list_numbers(result, "", paths);
  throw Failure(kUsage, fmt::format("--metric {}: not in {}{} (there are: {})", metric, where,
                                    suggest(metric, paths), fmt::join(paths, ", ")));
}

void add_run(const json& result, const std::string& metric, const std::string& where, Side& side) {
  const double value = value_of(result, metric, where);
  const RunConditions conditions = conditions_of(result);
  if (side.values.empty()) side.conditions = conditions;
  std::vector<std::string> texts;
  for (const Difference& difference : differences_between(side.conditions, conditions)) {
    texts.push_back(to_string(difference, "run 1", "this one"));
  }
  if (!texts.empty()) {
    throw Failure(kUsage, fmt::format("{}: not made as run 1: {} (give runs that were all made in "
                                      "the same way)",
                                      where, fmt::join(texts, "; ")));
  }
  side.values.push_back(value);
}

// Results one after the other, or in arrays.
std::vector<json> parse_results(const std::string& text, const std::string& where) {
  std::vector<json> results;
  std::istringstream stream(text);
  try {
    while (stream >> std::ws && stream.peek() != std::istringstream::traits_type::eof()) {
      json value;
      stream >> value;
      if (value.is_array()) {
        for (json& element : value) results.push_back(std::move(element));
      } else {
        results.push_back(std::move(value));
      }
    }
  } catch (const json::exception& error) {
    // The library's own number of the error stands before the sentence, in brackets.
    std::string_view why = error.what();
    if (const auto end = why.find("] "); end != std::string_view::npos) why.remove_prefix(end + 2);
    throw Failure(kUsage, fmt::format("{}: not JSON after {} results: {} (give what "
                                      "'evpool-bench run --json' prints)",
                                      where, results.size(), why));
  }
  if (results.empty()) {
    throw Failure(kUsage, fmt::format("{}: there is no result in it (give what 'evpool-bench "
                                      "run --json' prints)",
                                      where));
  }
  return results;
}

// --- Files and commands ------------------------------------------------------------------------

void refuse_if_too_large(std::size_t bytes, const std::string& where) {
  if (bytes <= kMaxInputBytes) return;
  throw Failure(
      kUsage, fmt::format("{}: more than {} MiB (give results only)", where, kMaxInputBytes >> 20));
}

std::string read_all(std::FILE* file, const std::string& where) {
  std::string text;
  std::array<char, 65'536> buffer{};
  while (const std::size_t bytes = std::fread(buffer.data(), 1, buffer.size(), file)) {
    text.append(buffer.data(), bytes);
    refuse_if_too_large(text.size(), where);
  }
  if (std::ferror(file) != 0) {
    throw Failure(kUsage, fmt::format("{}: cannot read: {} (give a file of results)", where,
                                      std::generic_category().message(errno)));
  }
  return text;
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
struct CommandOutput {
  std::string text;
  int status = 0;  // as a shell's $?
};

// What it writes to standard error goes to ours. It is ended, with all that it has started, when
// `interrupted` counts, or when it says too much.
CommandOutput run_command(const std::string& command, const std::string& where,
                          const std::atomic<int>& interrupted) {
  // It measures: it is looked at seldom, but at first, when it may be a command that only prints.
  constexpr std::chrono::milliseconds kFirstLook{1};
  constexpr std::chrono::milliseconds kLookEvery{50};
  std::unique_ptr<ChildProgram> shell;
  try {
    shell = std::make_unique<ChildProgram>(ChildProgram::Options{
        .arguments = {"/bin/sh", "-c", command}, .wait_for_ready = false, .quiet = false});
  } catch (const std::exception& error) {
    throw Failure(kInvalid, fmt::format("{}: {} (try again)", where, error.what()));
  }
  auto pause = kFirstLook;
  while (shell->running()) {
    if (interrupted.load() > 0) {
      shell->stop();
      throw Failure(kInvalid,
                    fmt::format("{}: interrupted, and so there is nothing to compare", where));
    }
    refuse_if_too_large(shell->output_bytes(), where);
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLookEvery);
  }
  refuse_if_too_large(shell->output_bytes(), where);
  return {.text = shell->output(), .status = shell->exit_status()};
}

void run_once(const std::string& metric, Side& side, const std::atomic<int>& interrupted) {
  const std::string where =
      fmt::format("command {}, run {} ('{}')", side.name, side.values.size() + 1, side.source);
  const CommandOutput output = run_command(side.source, where, interrupted);
  std::vector<json> results;
  try {
    results = parse_results(output.text, where);
  } catch (const Failure&) {
    if (output.status == 0) throw;
    throw CommandFailure(output.status,
                         fmt::format("{}: failed with status {} and printed no result (run "
                                     "it by itself)",
                                     where, output.status));
  }
  if (results.size() != 1) {
    throw Failure(kUsage, fmt::format("{}: printed {} results (print one, it is run often "
                                      "enough)",
                                      where, results.size()));
  }
  add_run(results.front(), metric, where, side);
  if (output.status != 0) {  // replies were wrong, for one
    throw Failure(kInvalid, fmt::format("{}: printed a result but ended with status {} (run it by "
                                        "itself)",
                                        where, output.status));
  }
}

}  // namespace

void read_file(const std::string& path, const std::string& metric, Side& side) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
  if (file == nullptr) {
    throw Failure(kUsage, fmt::format("{}: cannot open: {} (give a file of results)", path,
                                      std::generic_category().message(errno)));
  }
  for (const json& result : parse_results(read_all(file.get(), path), path)) {
    const std::size_t run = side.values.size() + 1;
    add_run(result, metric, fmt::format("{}, run {}", path, run), side);
  }
}

void run_interleaved(const std::string& metric, std::size_t runs, Side& a, Side& b) {
  std::atomic<int> interrupted{0};
  const Interrupts interrupts(interrupted, Interrupts::Second::ends_the_process);
  const bool watched = isatty(STDERR_FILENO) == 1;
  for (std::size_t pair = 0; pair < runs; ++pair) {
    if (watched) say(fmt::format("run {} of {} of each\n", pair + 1, runs));
    Side& first = pair % 2 == 0 ? a : b;
    Side& second = pair % 2 == 0 ? b : a;
    run_once(metric, first, interrupted);
    run_once(metric, second, interrupted);
  }
}

}  // namespace evpool::bench
