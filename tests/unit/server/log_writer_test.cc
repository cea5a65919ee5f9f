#include "server/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "server/socket.h"
#include "tests/failing_pthread_create.h"

namespace evpool {
namespace {

using namespace std::chrono_literals;

class LogWriterTest : public testing::Test {
 protected:
  LogWriterTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    reader_ = Descriptor(ends[0]);
    writer_ = Descriptor(ends[1]);
  }

  // Fills the pipe, so that the next write blocks.
  void fill_pipe() {
    fcntl(writer_.get(), F_SETFL, O_NONBLOCK);
    const std::string zeros(4096, '0');
    while (write(writer_.get(), zeros.data(), zeros.size()) > 0) {
    }
    fcntl(writer_.get(), F_SETFL, 0);
  }

  // What comes until it ends with `last`.
  std::string read_until(const std::string& last) {
    std::string bytes;
    std::array<char, 65'536> buffer;
    while (!bytes.ends_with(last)) {
      const ssize_t got = read(reader_.get(), buffer.data(), buffer.size());
      if (got <= 0) break;
      bytes.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return bytes;
  }

  Descriptor reader_;
  Descriptor writer_;
};

TEST_F(LogWriterTest, writes_lines_whole_and_in_order) {
  LogWriter log(writer_.get());
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    log.write(line);
    expected += line;
  }
  EXPECT_TRUE(log.flush(30s));
  EXPECT_EQ(read_until("line 999\n"), expected);
}

TEST_F(LogWriterTest, never_waits_for_a_pipe_that_nobody_reads_and_counts_what_it_drops) {
  fill_pipe();
  LogWriter log(writer_.get());
  const std::string line(99, 'x');
  constexpr std::size_t kLines = 10'000;  // four times what may wait
  for (std::size_t i = 0; i < kLines; ++i) log.write(line + "\n");
  EXPECT_FALSE(log.flush(1ms)) << "they are not written";
  // Lines, and notes of how many are missing, until all are accounted for.
  std::size_t written = 0;
  std::size_t dropped = 0;
  std::string bytes = read_until("\n");
  bytes.erase(0, bytes.find('x'));
  while (written + dropped < kLines) {
    if (!bytes.ends_with("\n")) bytes += read_until("\n");
    for (; !bytes.empty(); bytes.erase(0, bytes.find('\n') + 1)) {
      if (bytes.starts_with(line + "\n")) {
        ++written;
      } else {
        ASSERT_TRUE(bytes.starts_with("evpoold: warning: ")) << bytes.substr(0, 200);
        dropped += std::stoul(bytes.substr(18));
      }
    }
    if (written + dropped < kLines) bytes = read_until("\n");
  }
  EXPECT_EQ(written + dropped, kLines);
  EXPECT_GT(dropped, 0U);
  log.write("afterwards\n");
  EXPECT_EQ(read_until("afterwards\n"), "afterwards\n");
  EXPECT_TRUE(log.flush(30s));
}

TEST_F(LogWriterTest, ends_though_its_thread_is_stuck) {
  fill_pipe();
  {
    LogWriter log(writer_.get());
    log.write("for nobody\n");
  }
  read_until("for nobody\n");  // lets the thread end
}

TEST_F(LogWriterTest, says_that_its_thread_cannot_be_started) {
  pthread_create_calls_until_failure.store(0);
  try {
    const LogWriter log(writer_.get());
    FAIL() << "it was started";
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find("see ulimit -u"), std::string::npos) << error.what();
  }
}

TEST_F(LogWriterTest, takes_lines_from_many_threads) {
  LogWriter log(writer_.get());
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&log] {
      for (int i = 0; i < 100; ++i) log.write("0123456789\n");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(log.flush(30s));
  log.write("end\n");
  const std::string bytes = read_until("end\n");
  EXPECT_EQ(bytes.size(), 400 * 11 + 4U);
  for (std::size_t at = 0; at < 400 * 11; at += 11) {
    ASSERT_EQ(bytes.substr(at, 11), "0123456789\n");
  }
}

TEST_F(LogWriterTest, outlives_a_reader_that_has_gone) {
  signal(SIGPIPE, SIG_IGN);
  LogWriter log(writer_.get());
  reader_.close();
  log.write("for nobody\n");
  EXPECT_TRUE(log.flush(30s));
  signal(SIGPIPE, SIG_DFL);
}

}  // namespace
}  // namespace evpool
