// Input that a splitter holds: in all tests the buffer it was pushed from is overwritten as soon as
// it is held.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/frame.h"
#include "protocol/frame_splitter.h"
#include "protocol/text.h"

namespace evpool {
namespace {

TEST(FrameSplitter, held_input_outlives_the_buffer_it_was_pushed_from) {
  std::string stream;
  for (std::uint64_t id = 0; id < 100; ++id) {
    append_request(id, "job", std::string(id % 7, 'p'), 0, Priority::normal, stream);
  }
  FrameSplitter splitter(1000);
  std::uint64_t next_id = 0;
  std::string buffer;
  for (std::size_t at = 0; at < stream.size(); at += 150) {  // each push ends inside a frame
    buffer = stream.substr(at, 150);
    splitter.push(buffer);
    Frame frame;
    for (int taken = 0;; ++taken) {
      if (taken % 2 == 1) {
        splitter.hold_input();
        std::fill(buffer.begin(), buffer.end(), '!');
      }
      const FrameSplitter::Item item = splitter.next(frame);
      if (item == FrameSplitter::Item::need_more) break;
      ASSERT_EQ(item, FrameSplitter::Item::frame) << next_id;
      ASSERT_EQ(frame.header.id, next_id);
      ASSERT_EQ(frame.payload, std::string(next_id % 7, 'p'));
      ++next_id;
    }
  }
  EXPECT_EQ(next_id, 100U);
}

TEST(LineSplitter, held_input_outlives_the_buffer_it_was_pushed_from) {
  std::string stream;
  for (int line = 0; line < 200; ++line) stream += "line " + std::to_string(line) + "\n";
  LineSplitter splitter;
  int next_line = 0;
  std::string buffer;
  for (std::size_t at = 0; at < stream.size(); at += 45) {  // each push ends inside a line
    buffer = stream.substr(at, 45);
    splitter.push(buffer);
    std::string_view line;
    for (int taken = 0;; ++taken) {
      if (taken % 2 == 1) {
        splitter.hold_input();
        std::fill(buffer.begin(), buffer.end(), '!');
      }
      if (splitter.next(line) == LineSplitter::Item::need_more) break;
      ASSERT_EQ(line, "line " + std::to_string(next_line));
      ++next_line;
    }
  }
  EXPECT_EQ(next_line, 200);
}

}  // namespace
}  // namespace evpool
