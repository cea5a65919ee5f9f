#include "client/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <future>
#include <string>

#include "tests/unit/client/fake_server.h"

namespace evpool {
namespace {

struct Pipe {
  explicit Pipe(int flags = 0) {
    std::array<int, 2> ends{};
    BoundSocket::check(::pipe2(ends.data(), O_CLOEXEC | flags), "pipe2");
    reader = Descriptor(ends[0]);
    writer = Descriptor(ends[1]);
  }

  std::string read_to_end() {
    writer.close();
    std::string text;
    std::array<char, 4096> bytes;
    for (;;) {
      const ssize_t got = ::read(reader.get(), bytes.data(), bytes.size());
      if (got < 0 && errno == EAGAIN) {
        pollfd waiting = {.fd = reader.get(), .events = POLLIN, .revents = 0};
        ::poll(&waiting, 1, -1);
        continue;
      }
      BoundSocket::check(got, "read");
      if (got == 0) return text;
      text.append(bytes.data(), static_cast<std::size_t>(got));
    }
  }

  Descriptor reader;
  Descriptor writer;
};

std::string failure_of(Output& output) {
  try {
    output.flush();
  } catch (const OutputError& error) {
    return error.what();
  }
  return "none";
}

TEST(Output, writes_replies_in_their_order) {
  Pipe pipe;
  {
    Output output(pipe.writer.get());
    output.reply("one\n");
    output.reply("two\n");
    output.flush();
    EXPECT_EQ(output.written_replies(), 2U);
  }
  EXPECT_EQ(pipe.read_to_end(), "one\ntwo\n");
}

TEST(Output, notices_with_the_first_reply_that_nothing_can_be_written) {
  const Descriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  Output output(full.get());
  EXPECT_THROW(output.reply("one\n"), OutputError);
  EXPECT_EQ(output.written_replies(), 0U);
  output.flush();  // what could not be written is not tried again
}

TEST(Output, says_why_and_how_many_replies_were_written) {
  ::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  Output output(pipe.writer.get());
  output.reply("one\n");
  output.reply("two\n");
  output.flush();
  output.reply("three\n");
  pipe.reader.close();
  EXPECT_EQ(failure_of(output), "cannot write to standard output: Broken pipe");
  EXPECT_EQ(output.written_replies(), 2U);
}

TEST(Output, a_reply_that_was_written_in_part_does_not_count) {
  // A pipe that takes one page and then, as it does not block and nobody reads, no more; its reader
  // goes when it is full.
  ::signal(SIGPIPE, SIG_IGN);
  Pipe pipe(O_NONBLOCK);
  const int room = ::fcntl(pipe.writer.get(), F_SETPIPE_SZ, 4096);
  ASSERT_GT(room, 0);
  Output output(pipe.writer.get());
  const std::string reply(1'000, 'x');
  output.reply(reply);
  const int replies = room / 1'000 + 2;
  for (int i = 1; i < replies; ++i) output.reply(reply);
  auto failing = std::async(std::launch::async, [&] { return failure_of(output); });
  pollfd full = {.fd = pipe.writer.get(), .events = POLLOUT, .revents = 0};
  while (::poll(&full, 1, 0) > 0) {
  }
  pipe.reader.close();
  EXPECT_EQ(failing.get(), "cannot write to standard output: Broken pipe");
  EXPECT_GE(output.written_replies(), 1U);
  EXPECT_LE(output.written_replies(), static_cast<std::size_t>(room / 1'000));
}

TEST(Output, waits_for_a_slow_reader_of_a_descriptor_that_does_not_block) {
  Pipe pipe(O_NONBLOCK);
  std::string expected;
  auto writing = std::async(std::launch::async, [&] {
    Output output(pipe.writer.get());
    for (int i = 0; i < 50'000; ++i) output.reply(std::to_string(i) + "\n");
    output.flush();
    pipe.writer.close();
    return output.written_replies();
  });
  std::string text;
  std::array<char, 1000> bytes;
  for (;;) {
    pollfd waiting = {.fd = pipe.reader.get(), .events = POLLIN, .revents = 0};
    ::poll(&waiting, 1, -1);
    const ssize_t got = ::read(pipe.reader.get(), bytes.data(), bytes.size());
    if (got == 0) break;
    if (got > 0) text.append(bytes.data(), static_cast<std::size_t>(got));
  }
  EXPECT_EQ(writing.get(), 50'000U);
  for (int i = 0; i < 50'000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_TRUE(text == expected);
}

TEST(Output, knows_that_a_pipe_is_no_terminal) {
  const Pipe pipe;
  EXPECT_FALSE(Output(pipe.writer.get()).is_terminal());
}

}  // namespace
}  // namespace evpool
