// evpool-bench leaves no program behind that it has started, however it ends.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/becomes_true.h"
#include "tests/integration/program.h"

namespace evpool {
namespace {

// A process that has ended and is not waited for is a zombie: it runs no more.
bool runs(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  const std::string stat{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_ends = stat.rfind(") ");
  return name_ends != std::string::npos && stat.substr(name_ends + 2, 1) != "Z";
}

// Of all processes whose environment has this, but for one.
std::vector<std::string> processes_with(const std::string& mark, pid_t without) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename().string();
    pid_t number = 0;
    const auto parsed = std::from_chars(pid.data(), pid.data() + pid.size(), number);
    if (parsed.ptr != pid.data() + pid.size() || number == without) continue;
    std::ifstream file(entry.path() / "environ");
    const std::string environment{std::istreambuf_iterator<char>(file), {}};
    if (environment.find(mark) != std::string::npos && runs(pid)) found.push_back(pid);
  }
  return found;
}

// evpool-bench and all that it starts, known by their environment.
class MarkedBench {
 public:
  explicit MarkedBench(const std::vector<std::string>& arguments)
      : mark_("EVPOOL_TEST_MARK=" + std::to_string(getpid()) + "-" + std::to_string(++marks)),
        program_(marked(arguments)) {}

  Program& program() { return program_; }
  [[nodiscard]] std::vector<std::string> children() const {
    return processes_with(mark_, program_.pid());
  }

 private:
  std::vector<std::string> marked(const std::vector<std::string>& arguments) const {
    std::vector<std::string> command = {"/usr/bin/env", mark_, built_program("evpool-bench")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
  }

  static inline int marks = 0;
  const std::string mark_;
  Program program_;
};

struct Case {
  std::vector<std::string> arguments;
  std::size_t children;  // there are at least so many when all have been started
};

class Children : public testing::TestWithParam<int> {};

TEST_P(Children, none_is_left_when_the_bench_is_ended) {
  const int number = GetParam();
  // The last one: a shell that waits for what it has started itself, and does not pass on signals.
  const std::vector<Case> cases = {
      {{"floors", "--row", "tcp-1x1", "--duration", "50s", "--rounds", "1"}, 2},
      {{"workers", "--workers", "1", "--duration", "50s", "--rounds", "1"}, 2},
      {{"connections", "--connections", "10", "--duration", "50s", "--rounds", "1"}, 2},
      {{"mixed", "--duration", "50s", "--rounds", "1"}, 2},
      {{"peers", "--row", "tcp-1x1", "--duration", "50s", "--rounds", "1"}, 2},
      {{"compare", "--ab", "sleep 1000", "sleep 1000"}, 2},
      {{"gate", "--ab", "trap '' TERM INT HUP; sleep 1000; sleep 1000", "sleep 1000"}, 3},
      {{"compare", "--ab", "sh -c 'sleep 1000; true'; true", "sleep 1000"}, 4}};
  for (const Case& each : cases) {
    SCOPED_TRACE(testing::PrintToString(each.arguments));
    MarkedBench bench(each.arguments);
    ASSERT_TRUE(becomes_true([&] { return bench.children().size() >= each.children; }));
    bench.program().signal(number);
    const int status = bench.program().wait();
    EXPECT_TRUE(status == 3 || status == 128 + number) << status << bench.program().errors();
    EXPECT_TRUE(becomes_true([&] { return bench.children().empty(); }))
        << testing::PrintToString(bench.children());
  }
}

INSTANTIATE_TEST_SUITE_P(By, Children, testing::Values(SIGTERM, SIGINT, SIGHUP, SIGKILL),
                         [](const testing::TestParamInfo<int>& signal) {
                           return std::string("SIG") + sigabbrev_np(signal.param);
                         });

TEST(CompareCommand, says_that_it_was_interrupted) {
  MarkedBench bench({"compare", "--ab", "sleep 1000", "sleep 1000"});
  ASSERT_TRUE(becomes_true([&] { return bench.children().size() >= 2; }));
  bench.program().signal(SIGTERM);
  EXPECT_EQ(bench.program().wait(), 3);
  EXPECT_NE(bench.program().errors().find("command A, run 1 ('sleep 1000'): interrupted"),
            std::string::npos)
      << bench.program().errors();
}

TEST(SeriesCommands, an_interrupted_one_shows_the_rounds_that_were_finished) {
  const std::string report = testing::TempDir() + "evpool_interrupted_" + std::to_string(getpid());
  // Standard error, which tells the rounds, goes to the pipe.
  Program program({"/bin/sh", "-c", R"(report=$1; shift; exec "$@" 2>&1 >"$report")", "sh", report,
                   built_program("evpool-bench"), "workers", "--workers", "1", "--row", "tcp-1x1",
                   "--duration", "50ms", "--rounds", "1000"});
  // The second round begins when the first is finished.
  while (program.next_line() != "tcp-1x1: round 2 of 1000") {
  }
  program.signal(SIGINT);
  EXPECT_EQ(program.wait(), 3);
  std::ifstream file(report);
  const std::string output{std::istreambuf_iterator<char>(file), {}};
  std::filesystem::remove(report);
  EXPECT_TRUE(output.starts_with("BROKE OFF: interrupted")) << output;
  EXPECT_NE(output.find("\n| tcp-1x1 | 1 |"), std::string::npos) << output;
  EXPECT_NE(output.find(": 1 worker, "), std::string::npos) << output;
}

}  // namespace
}  // namespace evpool
