#include "console/write_fully.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <thread>

namespace evpool {
namespace {

TEST(write_fully, waits_for_a_reader_though_the_descriptor_is_non_blocking) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
  fcntl(pipe[1], F_SETFL, O_NONBLOCK);
  const std::string text(1 << 20, 'x');  // sixteen times what a pipe holds
  std::string read_text;
  std::thread reader([&] {
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t got = read(pipe[0], buffer.data(), buffer.size());
      if (got <= 0) return;
      read_text.append(buffer.data(), static_cast<std::size_t>(got));
    }
  });
  EXPECT_EQ(write_fully(pipe[1], text), text.size());
  close(pipe[1]);
  reader.join();
  close(pipe[0]);
  EXPECT_EQ(read_text, text);
}

TEST(write_fully, says_how_much_was_written_and_why_not_all) {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  EXPECT_EQ(write_fully(full, "text"), 0U);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(write_fully(full, ""), 0U);
  close(full);
}

}  // namespace
}  // namespace evpool
