#include "protocol/text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace evpool {
namespace {

using Item = LineSplitter::Item;
using Lines = std::vector<std::string>;

constexpr std::string_view kTooLong = "<too long>";

std::string longest() { return std::string(kMaxTextLineBytes, 'x'); }

// What next() says until it needs more.
Lines drain(LineSplitter& splitter) {
  Lines lines;
  std::string_view line;
  for (Item item = splitter.next(line); item != Item::need_more; item = splitter.next(line)) {
    lines.emplace_back(item == Item::line ? line : kTooLong);
  }
  return lines;
}

// Each chunk in memory of its own, so that a sanitizer sees who keeps a view into it too long.
Lines push(LineSplitter& splitter, std::string_view chunk) {
  const std::vector<char> bytes(chunk.begin(), chunk.end());
  splitter.push({bytes.data(), bytes.size()});
  return drain(splitter);
}

Lines finish(LineSplitter& splitter) {
  splitter.finish();
  return drain(splitter);
}

void append(Lines& to, const Lines& more) { to.insert(to.end(), more.begin(), more.end()); }

// All that a new splitter says to `stream`, cut where `next_bytes` says, and to its end.
template <typename NextBytes>
Lines split(std::string_view stream, NextBytes next_bytes) {
  LineSplitter splitter;
  Lines lines;
  while (!stream.empty()) {
    const std::string_view chunk = stream.substr(0, next_bytes());
    append(lines, push(splitter, chunk));
    stream.remove_prefix(chunk.size());
  }
  append(lines, finish(splitter));
  return lines;
}

Lines split_whole(std::string_view stream) {
  return split(stream, [] { return std::string_view::npos; });
}

Lines split_by(std::size_t bytes, std::string_view stream) {
  return split(stream, [bytes] { return bytes; });
}

// --- A line ----------------------------------------------------------------------------

void expect_request(std::string_view line, std::string_view job, std::string_view payload) {
  const TextRequest request = parse_text_request(line);
  EXPECT_EQ(request.job, job) << line;
  EXPECT_EQ(request.payload, payload) << line;
}

std::string text_reply(Status status, std::string payload) {
  std::string reply;
  append_text_head(status, payload, reply);
  return reply + payload;
}

TEST(TextRequest, job_ends_at_the_first_space) {
  expect_request("upper hello", "upper", "hello");
  expect_request("upper hello world", "upper", "hello world");
}

TEST(TextRequest, line_without_a_space_is_a_job_without_a_payload) {
  expect_request("jobs", "jobs", "");
  expect_request("jobs ", "jobs", "");
}

TEST(TextRequest, each_space_after_the_first_belongs_to_the_payload) {
  expect_request("upper  hello", "upper", " hello");
  expect_request("upper hello ", "upper", "hello ");
  expect_request("upper  ", "upper", " ");
}

TEST(TextRequest, leading_space_leaves_no_job) {
  expect_request(" upper hello", "", "upper hello");
  expect_request(" ", "", "");
}

TEST(TextRequest, empty_line_has_neither) { expect_request("", "", ""); }

TEST(TextRequest, only_a_space_divides) {
  expect_request("upper\thello", "upper\thello", "");
  expect_request("upper\thello world", "upper\thello", "world");
}

TEST(TextRequest, payload_is_any_bytes) {
  const std::string payload("\0\xFF\r\x01", 4);
  expect_request("upper " + payload, "upper", payload);
}

TEST(TextRequest, views_point_into_the_line) {
  const std::string line = "upper hello";
  const TextRequest request = parse_text_request(line);
  EXPECT_EQ(request.job.data(), line.data());
  EXPECT_EQ(request.payload.data(), line.data() + 6);
}

// --- A reply ---------------------------------------------------------------------------

TEST(TextReply, ok_is_the_payload_as_it_is) {
  EXPECT_EQ(text_reply(Status::ok, "HELLO"), "HELLO");
  EXPECT_EQ(text_reply(Status::ok, ""), "");
  EXPECT_EQ(text_reply(Status::ok, "one\ntwo\r\n"), "one\ntwo\r\n");
}

TEST(TextReply, each_other_status_is_an_err_with_its_name) {
  for (std::uint8_t status = 1; status < kStatusCount; ++status) {
    const auto value = static_cast<Status>(status);
    EXPECT_EQ(text_reply(value, "why so"), "ERR " + std::string(name_of(value)) + " why so");
  }
  EXPECT_EQ(text_reply(Status::busy, "the server's queue is full"),
            "ERR busy the server's queue is full");
}

TEST(TextReply, an_empty_message_leaves_no_space_at_the_end) {
  EXPECT_EQ(text_reply(Status::failed, ""), "ERR failed");
}

TEST(TextReply, a_messages_line_ends_become_spaces) {
  EXPECT_EQ(text_reply(Status::failed, "one\ntwo"), "ERR failed one two");
  EXPECT_EQ(text_reply(Status::failed, "one\r\ntwo"), "ERR failed one  two");
  EXPECT_EQ(text_reply(Status::failed, "\none\n"), "ERR failed  one ");
  EXPECT_EQ(text_reply(Status::failed, "\r"), "ERR failed  ");
}

// --- Lines of a stream -----------------------------------------------------------------

TEST(LineSplitter, needs_more_of_nothing) {
  LineSplitter splitter;
  EXPECT_EQ(drain(splitter), Lines{});
  EXPECT_EQ(push(splitter, ""), Lines{});
  EXPECT_FALSE(splitter.inside_line());
  EXPECT_EQ(finish(splitter), Lines{});
  EXPECT_EQ(drain(splitter), Lines{});
}

TEST(LineSplitter, gives_several_lines_of_one_chunk_in_order) {
  LineSplitter splitter;
  EXPECT_EQ(push(splitter, "one\ntwo\nthree\n"), (Lines{"one", "two", "three"}));
  EXPECT_FALSE(splitter.inside_line());
}

TEST(LineSplitter, joins_lines_that_come_byte_by_byte) {
  EXPECT_EQ(split_by(1, "one\ntwo\r\n\nthree\n"), (Lines{"one", "two", "three"}));
}

TEST(LineSplitter, gives_a_line_as_soon_as_its_end_is_there) {
  LineSplitter splitter;
  EXPECT_EQ(push(splitter, "on"), Lines{});
  EXPECT_TRUE(splitter.inside_line());
  EXPECT_EQ(push(splitter, "e"), Lines{});
  EXPECT_EQ(push(splitter, "\n"), Lines{"one"});
  EXPECT_FALSE(splitter.inside_line());
  EXPECT_EQ(push(splitter, "two\nth"), Lines{"two"});
  EXPECT_TRUE(splitter.inside_line());
  EXPECT_EQ(push(splitter, "ree\nfour\n"), (Lines{"three", "four"}));
  EXPECT_FALSE(splitter.inside_line());
}

TEST(LineSplitter, gives_the_same_wherever_the_stream_is_cut_in_three) {
  const std::string stream = "one\r\n\ntwo \r\r\n\r\nthree";
  const Lines expected = {"one", "two \r", "three"};
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    for (std::size_t second = first; second <= stream.size(); ++second) {
      LineSplitter splitter;
      Lines lines = push(splitter, stream.substr(0, first));
      append(lines, push(splitter, stream.substr(first, second - first)));
      append(lines, push(splitter, stream.substr(second)));
      append(lines, finish(splitter));
      ASSERT_EQ(lines, expected) << first << ' ' << second;
    }
  }
}

TEST(LineSplitter, ends_lines_with_lf_or_crlf) {
  EXPECT_EQ(split_whole("one\r\ntwo\nthree\r\n"), (Lines{"one", "two", "three"}));
}

TEST(LineSplitter, takes_only_the_last_cr_for_an_end) {
  EXPECT_EQ(split_whole("o\rne\r\r\n"), Lines{"o\rne\r"});
}

TEST(LineSplitter, passes_over_empty_lines) {
  EXPECT_EQ(split_whole("\n\r\n\none\n\n\r\ntwo\n\n"), (Lines{"one", "two"}));
  EXPECT_EQ(split_by(1, "\n\r\n\none\n\n\r\ntwo\n\n"), (Lines{"one", "two"}));
}

TEST(LineSplitter, a_line_of_a_space_is_not_empty) { EXPECT_EQ(split_whole(" \n"), Lines{" "}); }

TEST(LineSplitter, lines_are_any_bytes_but_lf) {
  const std::string line("\0\xFF\x16\xF6", 4);
  EXPECT_EQ(split_whole(line + "\n"), Lines{line});
  EXPECT_EQ(split_by(1, line + "\n"), Lines{line});
}

TEST(LineSplitter, gives_the_last_line_without_an_end_after_finish) {
  LineSplitter splitter;
  EXPECT_EQ(push(splitter, "one\ntwo"), Lines{"one"});
  EXPECT_TRUE(splitter.inside_line());
  EXPECT_EQ(finish(splitter), Lines{"two"});
  EXPECT_FALSE(splitter.inside_line());
  EXPECT_EQ(drain(splitter), Lines{});
}

TEST(LineSplitter, strips_the_cr_of_a_last_line) {
  EXPECT_EQ(split_whole("one\r"), Lines{"one"});
  EXPECT_EQ(split_whole("\r"), Lines{});
}

TEST(LineSplitter, gives_the_rest_of_what_was_pushed_before_finish) {
  LineSplitter splitter;
  splitter.push("one\ntwo\nthree");
  splitter.finish();
  EXPECT_EQ(drain(splitter), (Lines{"one", "two", "three"}));
}

TEST(LineSplitter, a_line_is_valid_until_the_next_call) {
  LineSplitter splitter;
  std::string_view line;
  splitter.push("o");
  ASSERT_EQ(splitter.next(line), Item::need_more);
  const std::string chunk = "ne\ntwo\n";
  splitter.push(chunk);
  ASSERT_EQ(splitter.next(line), Item::line);
  EXPECT_EQ(line, "one");
  ASSERT_EQ(splitter.next(line), Item::line);
  EXPECT_EQ(line, "two");
  EXPECT_EQ(splitter.next(line), Item::need_more);
}

// --- Long lines ------------------------------------------------------------------------

TEST(LineSplitter, takes_a_line_of_the_largest_length) {
  for (const std::size_t chunk_bytes :
       {std::size_t{1}, std::size_t{1000}, kMaxTextLineBytes - 1, kMaxTextLineBytes,
        kMaxTextLineBytes + 1, std::string_view::npos}) {
    EXPECT_EQ(split_by(chunk_bytes, longest() + "\nnext\n"), (Lines{longest(), "next"}))
        << chunk_bytes;
  }
}

TEST(LineSplitter, refuses_a_line_of_one_byte_more_and_goes_on) {
  for (const std::size_t chunk_bytes :
       {std::size_t{1}, std::size_t{1000}, kMaxTextLineBytes - 1, kMaxTextLineBytes,
        kMaxTextLineBytes + 1, kMaxTextLineBytes + 2, std::string_view::npos}) {
    EXPECT_EQ(split_by(chunk_bytes, "first\n" + longest() + "y\nnext\n"),
              (Lines{"first", std::string(kTooLong), "next"}))
        << chunk_bytes;
  }
}

TEST(LineSplitter, counts_the_cr_among_a_lines_bytes) {
  const std::string line(kMaxTextLineBytes - 1, 'x');
  EXPECT_EQ(split_whole(line + "\r\n"), Lines{line});
  EXPECT_EQ(split_by(1000, line + "\r\n"), Lines{line});
  EXPECT_EQ(split_whole(line + "x\r\n"), Lines{std::string(kTooLong)});
  EXPECT_EQ(split_by(1000, line + "x\r\n"), Lines{std::string(kTooLong)});
}

TEST(LineSplitter, tells_a_long_line_once_however_long_it_is) {
  LineSplitter splitter;
  EXPECT_EQ(push(splitter, longest()), Lines{});
  EXPECT_EQ(push(splitter, "x"), Lines{std::string(kTooLong)});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(push(splitter, longest()), Lines{});
    EXPECT_EQ(push(splitter, "x"), Lines{});
    EXPECT_TRUE(splitter.inside_line());
  }
  EXPECT_EQ(push(splitter, "x\n"), Lines{});
  EXPECT_FALSE(splitter.inside_line());
  EXPECT_EQ(push(splitter, "next\n"), Lines{"next"});
}

TEST(LineSplitter, tells_a_long_line_before_its_end_has_come) {
  LineSplitter splitter;
  EXPECT_EQ(push(splitter, longest() + "x"), Lines{std::string(kTooLong)});
  EXPECT_TRUE(splitter.inside_line());
  EXPECT_EQ(push(splitter, "\nnext\n"), Lines{"next"});
}

TEST(LineSplitter, goes_on_right_behind_a_long_lines_end) {
  LineSplitter splitter;
  EXPECT_EQ(push(splitter, longest() + "x"), Lines{std::string(kTooLong)});
  EXPECT_EQ(push(splitter, "rest\nne"), Lines{});
  EXPECT_EQ(push(splitter, "xt\n"), Lines{"next"});
}

TEST(LineSplitter, tells_each_of_two_long_lines) {
  const Lines expected = {std::string(kTooLong), std::string(kTooLong), "next"};
  const std::string stream = longest() + "x\n" + longest() + "y\nnext\n";
  EXPECT_EQ(split_whole(stream), expected);
  EXPECT_EQ(split_by(1, stream), expected);
  EXPECT_EQ(split_by(kMaxTextLineBytes + 2, stream), expected);
}

TEST(LineSplitter, tells_a_long_line_without_an_end_once) {
  EXPECT_EQ(split_whole(longest() + "x"), Lines{std::string(kTooLong)});
  EXPECT_EQ(split_by(1000, longest() + "x"), Lines{std::string(kTooLong)});
  LineSplitter splitter;
  splitter.push(std::string_view());
  EXPECT_EQ(drain(splitter), Lines{});
  const std::string bytes = longest() + "x";
  splitter.push(bytes);
  splitter.finish();
  EXPECT_EQ(drain(splitter), Lines{std::string(kTooLong)});
  EXPECT_EQ(drain(splitter), Lines{});
}

TEST(LineSplitter, takes_a_last_line_of_the_largest_length_without_an_end) {
  EXPECT_EQ(split_whole(longest()), Lines{longest()});
  EXPECT_EQ(split_by(1000, longest()), Lines{longest()});
}

// --- Anything --------------------------------------------------------------------------

// The same in a simpler way: with the whole stream at hand.
Lines expect(std::string_view stream) {
  Lines lines;
  while (!stream.empty()) {
    const std::size_t end = stream.find('\n');
    std::string_view line = stream.substr(0, end);
    stream.remove_prefix(end == std::string_view::npos ? stream.size() : end + 1);
    if (line.size() > kMaxTextLineBytes) {
      lines.emplace_back(kTooLong);
      continue;
    }
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

TEST(LineSplitter, gives_the_same_of_any_stream_however_it_is_cut) {
  std::mt19937 random(4);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same cases each time
  constexpr std::string_view kAlphabet = "ab \r\n\n";
  for (int i = 0; i < 20'000; ++i) {
    std::string stream(random() % 30, ' ');
    for (char& byte : stream) byte = kAlphabet[random() % kAlphabet.size()];
    const Lines expected = expect(stream);
    ASSERT_EQ(split_whole(stream), expected) << i;
    ASSERT_EQ(split(stream, [&random] { return 1 + random() % 10; }), expected) << i;
  }
}

TEST(LineSplitter, gives_the_same_of_any_stream_of_long_lines) {
  std::mt19937 random(5);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same cases each time
  for (int i = 0; i < 200; ++i) {
    std::string stream;
    for (std::size_t lines = random() % 4; lines > 0; --lines) {
      stream += std::string(kMaxTextLineBytes - 2 + random() % 5, 'x');
      stream += random() % 2 == 0 ? "\n" : "\r\n";
    }
    stream += "last";
    const Lines expected = expect(stream);
    ASSERT_EQ(split_whole(stream), expected) << i;
    ASSERT_EQ(split(stream, [&random] { return 1 + random() % kMaxTextLineBytes; }), expected) << i;
  }
}

TEST(LineSplitter, passes_over_empty_lines_however_many_and_however_ended) {
  LineSplitter splitter;
  const std::string bytes = std::string(1000, '\n') + "\r\n\r\n\na\n\r\nb\r\n\r";
  splitter.push(bytes);
  std::string_view line;
  ASSERT_EQ(splitter.next(line), LineSplitter::Item::line);
  EXPECT_EQ(line, "a");
  ASSERT_EQ(splitter.next(line), LineSplitter::Item::line);
  EXPECT_EQ(line, "b");
  EXPECT_EQ(splitter.next(line), LineSplitter::Item::need_more);
  splitter.push("\n");
  EXPECT_EQ(splitter.next(line), LineSplitter::Item::need_more);
  EXPECT_FALSE(splitter.inside_line());
}

}  // namespace
}  // namespace evpool
