#include "client/line_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "tests/unit/client/allocated_bytes.h"
#include "tests/unit/client/fake_server.h"

namespace evpool {
namespace {

// A reader at one end of a pipe, what is to be read written into the other.
class PipedReader {
 public:
  explicit PipedReader(std::size_t longest = SIZE_MAX) : PipedReader(make_pipe(), longest) {}
  // All of the input, no more than a pipe holds.
  explicit PipedReader(std::string_view input) : PipedReader() {
    write(input);
    end();
  }

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(to_.get(), bytes.data(), bytes.size());
      if (written < 0) throw std::system_error(errno, std::generic_category(), "write");
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  void end() { to_.close(); }

  // The text of the next line.
  std::optional<std::string> next() {
    auto line = lines.next();
    if (!line) return std::nullopt;
    EXPECT_FALSE(line->too_long);
    EXPECT_EQ(line->bytes, line->text.size());
    return std::move(line->text);
  }

 private:
  static std::array<int, 2> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::generic_category(), "pipe2");
    }
    return ends;
  }
  PipedReader(const std::array<int, 2>& ends, std::size_t longest)
      : from_(ends[0]), to_(ends[1]), lines(ends[0], longest) {}

  Descriptor from_;
  Descriptor to_;

 public:
  LineReader lines;
};

TEST(LineReader, gives_line_after_line) {
  PipedReader reader("one\ntwo\nthree\n");
  EXPECT_EQ(reader.next(), "one");
  EXPECT_EQ(reader.next(), "two");
  EXPECT_EQ(reader.next(), "three");
  EXPECT_EQ(reader.next(), std::nullopt);
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(LineReader, the_last_line_may_lack_its_end) {
  PipedReader reader("one\ntwo");
  EXPECT_EQ(reader.next(), "one");
  EXPECT_EQ(reader.next(), "two");
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(LineReader, gives_empty_lines_too) {
  PipedReader reader("\n\ntwo before\n\n");
  EXPECT_EQ(reader.next(), "");
  EXPECT_EQ(reader.next(), "");
  EXPECT_EQ(reader.next(), "two before");
  EXPECT_EQ(reader.next(), "");
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(LineReader, an_empty_input_has_no_line) {
  PipedReader reader("");
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(LineReader, a_line_holds_any_byte_but_its_end) {
  const std::string bytes("a\0b\r\xFF", 5);
  PipedReader reader(bytes + "\n" + bytes);
  EXPECT_EQ(reader.next(), bytes);
  EXPECT_EQ(reader.next(), bytes);
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(LineReader, puts_a_line_together_that_comes_byte_by_byte) {
  PipedReader reader;
  auto writing = std::async(std::launch::async, [&] {
    for (const char byte : std::string_view("one\ntwo\n")) reader.write({&byte, 1});
    reader.end();
  });
  EXPECT_EQ(reader.next(), "one");
  EXPECT_EQ(reader.next(), "two");
  EXPECT_EQ(reader.next(), std::nullopt);
  writing.get();
}

TEST(LineReader, gives_a_line_of_any_length) {
  // Around what is read at a time, and far over it.
  for (const std::size_t bytes : {65'535U, 65'536U, 65'537U, 200'000U, 3'000'000U}) {
    std::string line;
    for (std::size_t i = 0; i < bytes; ++i) line += static_cast<char>('a' + i % 26);
    PipedReader reader;
    // A pipe does not hold all of it.
    auto writing = std::async(std::launch::async, [&] {
      reader.write("before\n" + line + "\nafter");
      reader.end();
    });
    EXPECT_EQ(reader.next(), "before");
    EXPECT_TRUE(reader.next() == line) << bytes;
    EXPECT_EQ(reader.next(), "after");
    EXPECT_EQ(reader.next(), std::nullopt);
    writing.get();
  }
}

TEST(LineReader, gives_many_lines) {
  constexpr int kLines = 50'000;
  PipedReader reader;
  auto writing = std::async(std::launch::async, [&] {
    std::string text;
    for (int i = 0; i < kLines; ++i) text += std::to_string(i) + "\n";
    reader.write(text);
    reader.end();
  });
  for (int i = 0; i < kLines; ++i) ASSERT_EQ(reader.next(), std::to_string(i));
  EXPECT_EQ(reader.next(), std::nullopt);
  writing.get();
}

TEST(LineReader, is_ready_when_a_line_is_there) {
  PipedReader reader;
  EXPECT_FALSE(reader.lines.ready());
  reader.write("one\n");
  EXPECT_TRUE(reader.lines.ready());
  EXPECT_TRUE(reader.lines.ready());
  EXPECT_EQ(reader.next(), "one");
  EXPECT_FALSE(reader.lines.ready());
}

TEST(LineReader, is_ready_for_a_line_read_together_with_another) {
  PipedReader reader;
  reader.write("one\ntwo\nthr");
  EXPECT_EQ(reader.next(), "one");
  EXPECT_TRUE(reader.lines.ready());
  EXPECT_EQ(reader.next(), "two");
  EXPECT_FALSE(reader.lines.ready()) << "the third has no end yet";
  reader.write("ee\n");
  EXPECT_TRUE(reader.lines.ready());
  EXPECT_EQ(reader.next(), "three");
}

TEST(LineReader, is_not_ready_while_a_line_has_only_begun) {
  PipedReader reader;
  reader.write("on");
  EXPECT_FALSE(reader.lines.ready()) << "next() would block";
  reader.write("e\n");
  EXPECT_TRUE(reader.lines.ready());
  EXPECT_EQ(reader.next(), "one");
}

TEST(LineReader, is_ready_at_the_end_of_the_input) {
  PipedReader reader;
  reader.write("one");
  reader.end();
  EXPECT_TRUE(reader.lines.ready());
  EXPECT_EQ(reader.next(), "one");
  EXPECT_TRUE(reader.lines.ready());
  EXPECT_EQ(reader.next(), std::nullopt);
  EXPECT_TRUE(reader.lines.ready());
}

TEST(LineReader, the_rest_is_all_that_no_line_was_made_of) {
  PipedReader reader("one\ntwo\n\nthree\nfour");
  EXPECT_EQ(reader.next(), "one");
  EXPECT_EQ(reader.next(), "two");
  EXPECT_EQ(reader.lines.rest(), "\nthree\nfour");
  EXPECT_EQ(reader.lines.rest(), "");
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(LineReader, the_rest_of_an_untouched_input_is_all_of_it) {
  std::string input;
  for (int i = 0; i < 100'000; ++i) input += std::to_string(i) + "\n";
  PipedReader reader;
  auto writing = std::async(std::launch::async, [&] {
    reader.write(input);
    reader.end();
  });
  EXPECT_TRUE(reader.lines.rest() == input);
  writing.get();
}

TEST(LineReader, the_rest_of_an_ended_input_is_empty) {
  PipedReader reader("one\n");
  EXPECT_EQ(reader.next(), "one");
  EXPECT_EQ(reader.next(), std::nullopt);
  EXPECT_EQ(reader.lines.rest(), "");
}

TEST(LineReader, a_read_error_is_thrown) {
  const Descriptor directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_GE(directory.get(), 0);
  LineReader lines(directory.get());
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(lines.next());
      ADD_FAILURE() << "it was read";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), std::errc::is_a_directory);
    }
    EXPECT_THROW(static_cast<void>(lines.rest()), std::system_error);
  }
}

TEST(LineReader, a_read_error_is_no_end_of_the_input) {
  // A socket that is reset, after a line and the begin of another.
  FakeServer server;
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(server.address().port);
  ASSERT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  server.accept();
  server.send("one\ntw");
  LineReader lines(socket.get());
  EXPECT_EQ(lines.next()->text, "one");
  server.reset();
  EXPECT_THROW(static_cast<void>(lines.next()), std::system_error);
}

// --- Lines that are too long

struct Bounded {
  explicit Bounded(std::size_t longest) : reader(longest) {}

  // Writes in a thread of its own, as a pipe does not hold all; then the input ends.
  void write(std::string text) {
    writing = std::async(std::launch::async, [this, text = std::move(text)] {
      reader.write(text);
      reader.end();
    });
  }

  PipedReader reader;
  std::future<void> writing;
};

TEST(LineReader, passes_over_a_line_that_is_too_long_and_goes_on) {
  for (const std::size_t too_long : {11U, 70'000U, 1'000'000U}) {
    for (const bool has_end : {true, false}) {
      Bounded bounded(10);
      LineReader& lines = bounded.reader.lines;
      bounded.write("0123456789\n" + std::string(too_long, 'x') + (has_end ? "\nnext" : ""));
      EXPECT_EQ(lines.next()->text, "0123456789");
      const auto line = lines.next();
      ASSERT_TRUE(line.has_value());
      EXPECT_TRUE(line->too_long);
      EXPECT_EQ(line->bytes, too_long);
      EXPECT_EQ(line->text, "");
      if (has_end) {
        EXPECT_EQ(lines.next()->text, "next");
      }
      EXPECT_FALSE(lines.next().has_value());
    }
  }
}

TEST(LineReader, is_ready_only_at_the_end_of_a_line_that_is_too_long) {
  PipedReader reader(10);
  reader.write(std::string(30'000, 'x'));
  EXPECT_FALSE(reader.lines.ready());
  reader.write(std::string(30'000, 'x'));
  EXPECT_FALSE(reader.lines.ready());
  reader.write("\n");
  EXPECT_TRUE(reader.lines.ready());
  EXPECT_EQ(reader.lines.next()->bytes, 60'000U);
}

TEST(LineReader, gives_no_rest_that_is_too_long) {
  for (const std::size_t bytes : {9U, 10U, 11U, 1'000'000U}) {
    Bounded bounded(10);
    bounded.write(std::string(bytes, 'x'));
    EXPECT_EQ(bounded.reader.lines.rest().has_value(), bytes <= 10) << bytes;
    // Reads what is left, so that the writer ends.
    while (bounded.reader.lines.next()) {
    }
  }
}

#ifndef EVPOOL_HAS_SANITIZER_ALLOCATOR
TEST(LineReader, keeps_nothing_of_a_line_that_is_too_long) {
  Bounded bounded(100'000);
  bounded.write(std::string(100'000'000, 'x') + "\nnext");
  LineReader& lines = bounded.reader.lines;
  const std::size_t before = allocated_bytes();
  EXPECT_TRUE(lines.next()->too_long);
  EXPECT_LT(allocated_bytes(), before + 1'000'000);
  EXPECT_EQ(lines.next()->text, "next");
}
#endif

}  // namespace
}  // namespace evpool
