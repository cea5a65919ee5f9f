#include "server/stream_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/text.h"

namespace evpool {
namespace {

using Item = StreamCodec::Item;

constexpr std::uint32_t kLimit_bytes = 1000;
const CodecOptions kOptions = {.max_payload_bytes = kLimit_bytes, .default_job = "upper"};

std::string request_frame(std::uint64_t id, const std::string& job, const std::string& payload) {
  std::string frame;
  append_request(id, job, payload, 1500, Priority::high, frame);
  return frame;
}

std::string encoded(const StreamCodec& codec, std::uint64_t id, Reply reply) {
  Replies replies;
  codec.encode(id, reply, replies);
  return replies.bytes;
}

TEST(ChooseCodec, tells_frames_from_text_by_the_first_byte) {
  EXPECT_FALSE(choose_codec('\xF6', kOptions)->ordered());
  EXPECT_TRUE(choose_codec('u', kOptions)->ordered());
}

TEST(FrameCodec, hands_on_all_that_a_request_says) {
  const auto codec = make_frame_codec(kOptions);
  const std::string frame = request_frame(7, "upper", "hello");
  codec->push(frame);
  Decoded decoded;
  ASSERT_EQ(codec->next(decoded), Item::request);
  EXPECT_EQ(decoded.request.header.id, 7U);
  EXPECT_EQ(decoded.request.name, "upper");
  EXPECT_EQ(decoded.request.payload, "hello");
  EXPECT_EQ(decoded.request.header.timeout_ms, 1500U);
  EXPECT_EQ(decoded.request.header.priority, Priority::high);
  EXPECT_EQ(codec->next(decoded), Item::need_more);
}

TEST(FrameCodec, refuses_an_oversize_payload_and_goes_on) {
  const auto codec = make_frame_codec(kOptions);
  const std::string bytes = request_frame(1, "upper", std::string(kLimit_bytes + 1, 'x')) +
                            request_frame(2, "upper", std::string(kLimit_bytes, 'x'));
  codec->push(bytes);
  Decoded decoded;
  ASSERT_EQ(codec->next(decoded), Item::refused);
  EXPECT_EQ(decoded.request.header.id, 1U);
  EXPECT_EQ(decoded.refusal.status, Status::too_large);
  EXPECT_EQ(decoded.refusal.payload, "the payload is 1001 bytes, the limit 1000");
  ASSERT_EQ(codec->next(decoded), Item::request);
  EXPECT_EQ(decoded.request.header.id, 2U);
}

TEST(FrameCodec, breaks_off_at_nonsense_and_at_a_reply) {
  Decoded decoded;
  const auto nonsense = make_frame_codec(kOptions);
  nonsense->push("\xF6 nonsense");
  ASSERT_EQ(nonsense->next(decoded), Item::broken);
  EXPECT_EQ(decoded.refusal.status, Status::bad_request);

  const auto reply = make_frame_codec(kOptions);
  std::string frame;
  append_reply_header(9, Status::ok, 0, frame);
  reply->push(frame);
  ASSERT_EQ(reply->next(decoded), Item::broken);
  EXPECT_EQ(decoded.request.header.id, 9U);
}

TEST(TextCodec, numbers_the_lines_and_answers_in_lines) {
  const auto codec = make_text_codec();
  codec->push("upper a b\n\njobs\n x\n");
  Decoded decoded;
  ASSERT_EQ(codec->next(decoded), Item::request);
  EXPECT_EQ(decoded.request.header.id, 0U);
  EXPECT_EQ(decoded.request.name, "upper");
  EXPECT_EQ(decoded.request.payload, "a b");
  ASSERT_EQ(codec->next(decoded), Item::request);
  EXPECT_EQ(decoded.request.header.id, 1U);
  EXPECT_EQ(decoded.request.name, "jobs");
  EXPECT_EQ(decoded.request.payload, "");
  ASSERT_EQ(codec->next(decoded), Item::refused);
  EXPECT_EQ(decoded.request.header.id, 2U);
  EXPECT_EQ(decoded.refusal.status, Status::bad_request);

  EXPECT_EQ(encoded(*codec, 0, Reply::ok("done")), "done\n");
  EXPECT_EQ(encoded(*codec, 1, Reply::failed("two\nlines")), "ERR failed two lines\n");
}

TEST(TextCodec, takes_the_last_line_without_its_end) {
  const auto codec = make_text_codec();
  Decoded decoded;
  codec->push("upper hel");
  ASSERT_EQ(codec->next(decoded), Item::need_more);
  EXPECT_TRUE(codec->inside_request());
  codec->push("lo");
  ASSERT_EQ(codec->next(decoded), Item::need_more);
  codec->end_of_input();
  ASSERT_EQ(codec->next(decoded), Item::request);
  EXPECT_EQ(decoded.request.payload, "hello");
  EXPECT_EQ(codec->next(decoded), Item::need_more);
}

TEST(TextCodec, refuses_a_line_that_is_too_long_once) {
  const auto codec = make_text_codec();
  const std::string bytes = std::string(kMaxTextLineBytes + 1, 'x') + "\nupper a\n";
  codec->push(bytes);
  Decoded decoded;
  ASSERT_EQ(codec->next(decoded), Item::refused);
  EXPECT_EQ(decoded.refusal.status, Status::too_large);
  ASSERT_EQ(codec->next(decoded), Item::request);
  EXPECT_EQ(decoded.request.header.id, 1U);
}

TEST(TextCodec, breaks_off_at_bytes_that_are_no_text) {
  for (const std::string& bytes :
       {std::string("\x16\x03\x01", 3), std::string("\0", 1), std::string("\xFF")}) {
    const auto codec = choose_codec(bytes.front(), kOptions);
    codec->push(bytes);
    Decoded decoded;
    ASSERT_EQ(codec->next(decoded), Item::broken);
    EXPECT_EQ(decoded.refusal.status, Status::bad_request);
    EXPECT_EQ(codec->next(decoded), Item::need_more);
  }
}

TEST(RawCodec, makes_each_chunk_a_payload_of_the_default_job) {
  const auto codec = make_raw_codec(kOptions);
  Decoded decoded;
  codec->push("hello\nthere");
  ASSERT_EQ(codec->next(decoded), Item::request);
  EXPECT_EQ(decoded.request.name, "upper");
  EXPECT_EQ(decoded.request.payload, "hello\nthere");
  EXPECT_EQ(codec->next(decoded), Item::need_more);
  codec->push("more");
  ASSERT_EQ(codec->next(decoded), Item::request);
  EXPECT_EQ(decoded.request.header.id, 1U);

  EXPECT_EQ(encoded(*codec, 0, Reply::ok("HELLO")), "HELLO");
  EXPECT_EQ(encoded(*codec, 1, {.status = Status::busy, .payload = "full"}), "ERR busy full");
}

}  // namespace
}  // namespace evpool
