#include "protocol/frame.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <string_view>

namespace evpool {
namespace {

// Where the header's fields lie, written down a second time: docs/protocol.md has the table.
constexpr std::size_t kVersionAt = 3;
constexpr std::size_t kTypeAt = 4;
constexpr std::size_t kFlagsAt = 5;
constexpr std::size_t kPriorityOrStatusAt = 6;
constexpr std::size_t kNameBytesAt = 7;
constexpr std::size_t kIdAt = 8;
constexpr std::size_t kTimeoutAt = 16;
constexpr std::size_t kPayloadBytesAt = 20;

constexpr std::uint64_t kId = 0x0123456789ABCDEF;

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string hex;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4U];
    hex += kDigits[byte & 0xFU];
  }
  return hex;
}

// Ignores white space, as docs/protocol.md sets it.
std::string from_hex(std::string_view hex) {
  std::string digits;
  for (const char c : hex) {
    if (c != ' ' && c != '\n') digits += c;
  }
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::string request(std::string_view name, std::string_view payload) {
  std::string bytes;
  append_request(kId, name, payload, 1000, Priority::normal, bytes);
  return bytes;
}

std::string reply(Status status, std::string_view payload) {
  std::string bytes;
  append_reply_header(kId, status, static_cast<std::uint32_t>(payload.size()), bytes);
  bytes += payload;
  return bytes;
}

std::string bare(FrameType type) {
  std::string bytes;
  append_header({.type = type, .id = kId}, bytes);
  return bytes;
}

std::string with_byte(std::string bytes, std::size_t offset, unsigned value) {
  bytes.at(offset) = static_cast<char>(value);
  return bytes;
}

FrameError header_error(std::string_view bytes) {
  FrameHeader header;
  return decode_header(bytes, header);
}

FrameError datagram_error(std::string_view bytes) {
  Frame frame;
  return decode_datagram(bytes, frame);
}

std::string encode(const Frame& frame) {
  std::string bytes;
  append_header(frame.header, bytes);
  return bytes + frame.name + frame.payload;
}

// --- Encoding --------------------------------------------------------------------------

TEST(Frame, magic_is_what_the_document_says) {
  EXPECT_EQ(to_hex(kFrameMagic), "F66576");
  EXPECT_EQ(kFrameHeaderBytes, 24U);
}

TEST(Frame, header_has_each_field_in_its_place_big_endian) {
  std::string bytes;
  append_header({.type = FrameType::request,
                 .priority = Priority::low,
                 .name_bytes = 0xA7,
                 .id = kId,
                 .timeout_ms = 0x11223344,
                 .payload_bytes = 0x55667788},
                bytes);
  EXPECT_EQ(to_hex(bytes),
            "F665760101"
            "0002A7"
            "0123456789ABCDEF"
            "11223344"
            "55667788");
}

TEST(Frame, byte_six_is_a_requests_priority_and_a_replys_status) {
  std::string as_request;
  append_header({.type = FrameType::request, .priority = Priority::high, .status = Status::busy},
                as_request);
  EXPECT_EQ(as_request[kPriorityOrStatusAt], 1);
  std::string as_reply;
  append_header({.type = FrameType::reply, .priority = Priority::high, .status = Status::busy},
                as_reply);
  EXPECT_EQ(as_reply[kPriorityOrStatusAt], 2);
}

TEST(Frame, appends_to_what_is_already_there) {
  std::string bytes = "before";
  append_header({.type = FrameType::ping}, bytes);
  append_request(1, "a", "b", 0, Priority::normal, bytes);
  append_reply_header(1, Status::ok, 0, bytes);
  EXPECT_TRUE(bytes.starts_with("before\xF6"));
  EXPECT_EQ(bytes.size(), 6 + 24 + 26 + 24U);
}

// docs/protocol.md, "Examples", shows these very bytes.
TEST(Frame, examples_of_the_document_are_real) {
  std::string bytes;
  append_request(1, "upper", "hello", 1000, Priority::normal, bytes);
  EXPECT_EQ(bytes, from_hex("F6 65 76 01 01 00 00 05  00 00 00 00 00 00 00 01"
                            "00 00 03 E8 00 00 00 05  75 70 70 65 72 68 65 6C"
                            "6C 6F"));

  bytes.clear();
  append_reply_header(1, Status::ok, 5, bytes);
  bytes += "HELLO";
  EXPECT_EQ(bytes, from_hex("F6 65 76 01 02 00 00 00  00 00 00 00 00 00 00 01"
                            "00 00 00 00 00 00 00 05  48 45 4C 4C 4F"));

  bytes.clear();
  append_reply_header(1, Status::busy, 26, bytes);
  bytes += "the server's queue is full";
  EXPECT_EQ(bytes, from_hex("F6 65 76 01 02 00 02 00  00 00 00 00 00 00 00 01"
                            "00 00 00 00 00 00 00 1A  74 68 65 20 73 65 72 76"
                            "65 72 27 73 20 71 75 65  75 65 20 69 73 20 66 75"
                            "6C 6C"));

  bytes.clear();
  append_header({.type = FrameType::ping, .id = 2}, bytes);
  EXPECT_EQ(bytes, from_hex("F6 65 76 01 03 00 00 00  00 00 00 00 00 00 00 02"
                            "00 00 00 00 00 00 00 00"));

  bytes.clear();
  append_header({.type = FrameType::pong, .id = 2}, bytes);
  EXPECT_EQ(bytes, from_hex("F6 65 76 01 04 00 00 00  00 00 00 00 00 00 00 02"
                            "00 00 00 00 00 00 00 00"));
}

TEST(FrameDeathTest, a_request_without_a_name_is_the_callers_mistake) {
  std::string bytes;
  EXPECT_DEATH(append_request(1, "", "payload", 0, Priority::normal, bytes), "name");
}

TEST(FrameDeathTest, a_name_of_256_bytes_is_the_callers_mistake) {
  std::string bytes;
  EXPECT_DEATH(
      append_request(1, std::string(kMaxJobNameBytes + 1, 'n'), "", 0, Priority::normal, bytes),
      "name");
}

// --- Round trips -----------------------------------------------------------------------

TEST(Frame, request_comes_back_as_it_went) {
  for (const Priority priority : {Priority::normal, Priority::high, Priority::low}) {
    for (const std::uint64_t id : {std::uint64_t{0}, kId, UINT64_MAX}) {
      for (const std::uint32_t timeout_ms : {0U, 1U, 60'000U, UINT32_MAX}) {
        std::string bytes;
        append_request(id, "upper", "hello", timeout_ms, priority, bytes);
        Frame frame;
        ASSERT_EQ(decode_datagram(bytes, frame), FrameError::none);
        EXPECT_EQ(frame.header.type, FrameType::request);
        EXPECT_EQ(frame.header.priority, priority);
        EXPECT_EQ(frame.header.status, Status::ok);
        EXPECT_EQ(frame.header.name_bytes, 5);
        EXPECT_EQ(frame.header.id, id);
        EXPECT_EQ(frame.header.timeout_ms, timeout_ms);
        EXPECT_EQ(frame.header.payload_bytes, 5U);
        EXPECT_EQ(frame.name, "upper");
        EXPECT_EQ(frame.payload, "hello");
      }
    }
  }
}

TEST(Frame, reply_comes_back_with_each_status) {
  for (std::uint8_t status = 0; status < kStatusCount; ++status) {
    Frame frame;
    ASSERT_EQ(decode_datagram(reply(static_cast<Status>(status), "why"), frame), FrameError::none);
    EXPECT_EQ(frame.header.type, FrameType::reply);
    EXPECT_EQ(frame.header.status, static_cast<Status>(status));
    EXPECT_EQ(frame.header.priority, Priority::normal);
    EXPECT_EQ(frame.header.id, kId);
    EXPECT_EQ(frame.header.timeout_ms, 0U);
    EXPECT_EQ(frame.name, "");
    EXPECT_EQ(frame.payload, "why");
  }
}

TEST(Frame, ping_and_pong_come_back_with_their_id) {
  for (const FrameType type : {FrameType::ping, FrameType::pong}) {
    Frame frame;
    ASSERT_EQ(decode_datagram(bare(type), frame), FrameError::none);
    EXPECT_EQ(frame.header.type, type);
    EXPECT_EQ(frame.header.id, kId);
    EXPECT_EQ(frame.name + frame.payload, "");
  }
}

TEST(Frame, name_and_payload_are_any_bytes) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const std::string name = all.substr(1);  // 255 of them
  Frame frame;
  ASSERT_EQ(decode_datagram(request(name, all + all), frame), FrameError::none);
  EXPECT_EQ(frame.name, name);
  EXPECT_EQ(frame.payload, all + all);
}

TEST(Frame, name_has_1_to_255_bytes) {
  for (const std::size_t name_bytes : {std::size_t{1}, std::size_t{2}, std::size_t{127},
                                       std::size_t{128}, std::size_t{254}, kMaxJobNameBytes}) {
    const std::string name(name_bytes, 'n');
    Frame frame;
    ASSERT_EQ(decode_datagram(request(name, "p"), frame), FrameError::none) << name_bytes;
    EXPECT_EQ(frame.header.name_bytes, name_bytes);
    EXPECT_EQ(frame.name, name);
    EXPECT_EQ(frame.payload, "p");
  }
}

TEST(Frame, empty_payload_comes_back_empty) {
  Frame frame;
  frame.payload = "left from before";
  ASSERT_EQ(decode_datagram(request("upper", ""), frame), FrameError::none);
  EXPECT_EQ(frame.payload, "");
}

TEST(Frame, largest_datagram_comes_back) {
  const std::string payload(kMaxDatagramBytes - kFrameHeaderBytes - 5, 'x');
  const std::string bytes = request("upper", payload);
  ASSERT_EQ(bytes.size(), kMaxDatagramBytes);
  Frame frame;
  ASSERT_EQ(decode_datagram(bytes, frame), FrameError::none);
  EXPECT_EQ(frame.payload, payload);
}

TEST(Frame, decoding_leaves_nothing_of_the_frame_before) {
  Frame frame;
  ASSERT_EQ(decode_datagram(request("upper", "hello"), frame), FrameError::none);
  ASSERT_EQ(decode_datagram(bare(FrameType::pong), frame), FrameError::none);
  EXPECT_EQ(frame.header.name_bytes, 0);
  EXPECT_EQ(frame.header.timeout_ms, 0U);
  EXPECT_EQ(frame.header.payload_bytes, 0U);
  EXPECT_EQ(frame.name, "");
  EXPECT_EQ(frame.payload, "");
}

// --- Lengths ---------------------------------------------------------------------------

TEST(Frame, every_shorter_datagram_is_truncated) {
  for (const std::string& bytes : {request("upper", "hello"), request("n", ""),
                                   reply(Status::failed, "why"), bare(FrameType::ping)}) {
    ASSERT_EQ(datagram_error(bytes), FrameError::none);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_EQ(datagram_error(std::string_view(bytes).substr(0, size)), FrameError::truncated)
          << size << " of " << bytes.size();
    }
  }
}

TEST(Frame, header_needs_all_24_bytes_and_no_more) {
  const std::string bytes = request("upper", "hello");
  EXPECT_EQ(header_error(std::string_view(bytes).substr(0, 23)), FrameError::truncated);
  EXPECT_EQ(header_error(std::string_view(bytes).substr(0, 24)), FrameError::none);
}

TEST(Frame, bytes_after_the_frame_are_trailing) {
  for (const std::string& bytes : {request("upper", "hello"), request("n", ""),
                                   reply(Status::ok, ""), bare(FrameType::ping)}) {
    EXPECT_EQ(datagram_error(bytes + std::string(1, '\0')), FrameError::trailing);
    EXPECT_EQ(datagram_error(bytes + bytes), FrameError::trailing);
  }
}

TEST(Frame, a_datagram_of_the_wrong_length_still_tells_its_id) {
  const std::string bytes = request("upper", "hello");
  Frame frame;
  ASSERT_EQ(decode_datagram(bytes.substr(0, bytes.size() - 1), frame), FrameError::truncated);
  EXPECT_EQ(frame.header.id, kId);
  ASSERT_EQ(decode_datagram(bytes + "x", frame), FrameError::trailing);
  EXPECT_EQ(frame.header.id, kId);
}

TEST(Frame, a_length_near_4_GiB_is_truncated_and_does_not_wrap_around) {
  std::string bytes = request("upper", "hello");
  for (std::size_t i = 0; i < 4; ++i) bytes[kPayloadBytesAt + i] = '\xFF';
  EXPECT_EQ(datagram_error(bytes), FrameError::truncated);
  // 2^32 - 5: in 32 bits, with the name, it would come to nothing.
  EXPECT_EQ(datagram_error(with_byte(bytes, kPayloadBytesAt + 3, 0xFB)), FrameError::truncated);
}

// --- Each field wrong in turn ----------------------------------------------------------

TEST(Frame, each_wrong_byte_of_the_magic_is_bad_magic) {
  const std::string good = request("upper", "hello");
  for (std::size_t offset = 0; offset < kFrameMagic.size(); ++offset) {
    for (unsigned value = 0; value < 256; ++value) {
      const std::string bytes = with_byte(good, offset, value);
      if (bytes == good) continue;
      FrameHeader header;
      ASSERT_EQ(decode_header(bytes, header), FrameError::bad_magic) << offset << ' ' << value;
      ASSERT_EQ(header.id, 0U);
      ASSERT_FALSE(looks_like_frame(bytes));
    }
  }
}

TEST(Frame, wrong_magic_is_told_from_the_first_wrong_byte_on) {
  EXPECT_EQ(header_error(""), FrameError::truncated);
  EXPECT_EQ(header_error("\xF6"), FrameError::truncated);
  EXPECT_EQ(header_error("\xF6"
                         "e"),
            FrameError::truncated);
  EXPECT_EQ(header_error("\xF6"
                         "ev"),
            FrameError::truncated);
  EXPECT_EQ(header_error("u"), FrameError::bad_magic);
  EXPECT_EQ(header_error("\xF6\xF6"), FrameError::bad_magic);
  EXPECT_EQ(header_error("\xF6"
                         "eV"),
            FrameError::bad_magic);
}

TEST(Frame, each_other_version_is_bad_version) {
  for (unsigned version = 0; version < 256; ++version) {
    const FrameError expected = version == 1 ? FrameError::none : FrameError::bad_version;
    FrameHeader header;
    EXPECT_EQ(decode_header(with_byte(request("upper", ""), kVersionAt, version), header), expected)
        << version;
    EXPECT_EQ(header.id, kId);
  }
}

TEST(Frame, another_version_is_told_before_any_field_it_may_have_changed) {
  std::string bytes = request("upper", "");
  bytes[kVersionAt] = 2;
  bytes[kTypeAt] = 9;
  bytes[kFlagsAt] = 9;
  bytes[kPriorityOrStatusAt] = 99;
  bytes[kNameBytesAt] = 0;
  EXPECT_EQ(header_error(bytes), FrameError::bad_version);
}

TEST(Frame, each_other_type_is_bad_type) {
  for (unsigned type = 0; type < 256; ++type) {
    if (type >= 1 && type <= 4) continue;
    FrameHeader header;
    EXPECT_EQ(decode_header(with_byte(request("upper", ""), kTypeAt, type), header),
              FrameError::bad_type)
        << type;
    EXPECT_EQ(header.id, kId);
  }
}

TEST(Frame, each_flag_is_bad_flags_on_every_type) {
  for (const std::string& good : {request("upper", "hello"), reply(Status::ok, "x"),
                                  bare(FrameType::ping), bare(FrameType::pong)}) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      FrameHeader header;
      EXPECT_EQ(decode_header(with_byte(good, kFlagsAt, 1U << bit), header), FrameError::bad_flags);
      EXPECT_EQ(header.id, kId);
    }
  }
}

TEST(Frame, each_other_priority_is_bad_priority) {
  for (unsigned priority = 0; priority < 256; ++priority) {
    const FrameError expected = priority < 3 ? FrameError::none : FrameError::bad_priority;
    FrameHeader header;
    EXPECT_EQ(decode_header(with_byte(request("upper", ""), kPriorityOrStatusAt, priority), header),
              expected)
        << priority;
    EXPECT_EQ(header.id, kId);
  }
}

TEST(Frame, a_ping_or_pong_with_a_priority_is_bad_priority) {
  for (const FrameType type : {FrameType::ping, FrameType::pong}) {
    for (const unsigned priority : {1U, 2U, 255U}) {
      EXPECT_EQ(header_error(with_byte(bare(type), kPriorityOrStatusAt, priority)),
                FrameError::bad_priority);
    }
  }
}

TEST(Frame, each_other_status_is_bad_status) {
  for (unsigned status = 0; status < 256; ++status) {
    const FrameError expected = status < 9 ? FrameError::none : FrameError::bad_status;
    FrameHeader header;
    EXPECT_EQ(decode_header(with_byte(reply(Status::ok, ""), kPriorityOrStatusAt, status), header),
              expected)
        << status;
    EXPECT_EQ(header.id, kId);
  }
}

TEST(Frame, a_request_without_a_name_is_bad_name) {
  FrameHeader header;
  EXPECT_EQ(decode_header(with_byte(request("upper", ""), kNameBytesAt, 0), header),
            FrameError::bad_name);
  EXPECT_EQ(header.id, kId);
}

TEST(Frame, another_frame_with_a_name_is_bad_name) {
  for (const std::string& good :
       {reply(Status::ok, "x"), bare(FrameType::ping), bare(FrameType::pong)}) {
    for (const unsigned name_bytes : {1U, 255U}) {
      FrameHeader header;
      EXPECT_EQ(decode_header(with_byte(good, kNameBytesAt, name_bytes), header),
                FrameError::bad_name);
      EXPECT_EQ(header.id, kId);
    }
  }
}

TEST(Frame, another_frame_with_a_timeout_is_bad_timeout) {
  for (const std::string& good :
       {reply(Status::ok, "x"), bare(FrameType::ping), bare(FrameType::pong)}) {
    for (std::size_t i = 0; i < 4; ++i) {
      FrameHeader header;
      EXPECT_EQ(decode_header(with_byte(good, kTimeoutAt + i, 1), header), FrameError::bad_timeout);
      EXPECT_EQ(header.id, kId);
    }
  }
}

TEST(Frame, a_ping_or_pong_with_a_payload_is_bad_payload) {
  for (const FrameType type : {FrameType::ping, FrameType::pong}) {
    for (std::size_t i = 0; i < 4; ++i) {
      const std::string bytes = with_byte(bare(type), kPayloadBytesAt + i, 1) + "x";
      FrameHeader header;
      EXPECT_EQ(decode_header(bytes, header), FrameError::bad_payload);
      EXPECT_EQ(header.id, kId);
      EXPECT_EQ(datagram_error(bytes), FrameError::bad_payload);
    }
  }
}

TEST(Frame, each_byte_of_the_id_is_read) {
  for (std::size_t i = 0; i < 8; ++i) {
    std::string bytes;
    append_header({.type = FrameType::ping}, bytes);
    FrameHeader header;
    ASSERT_EQ(decode_header(with_byte(bytes, kIdAt + i, 0x80), header), FrameError::none);
    EXPECT_EQ(header.id, std::uint64_t{0x80} << (8 * (7 - i)));
  }
}

TEST(Frame, a_datagrams_header_is_checked_before_its_length) {
  EXPECT_EQ(datagram_error(with_byte(request("upper", ""), kFlagsAt, 1) + "trailing"),
            FrameError::bad_flags);
}

TEST(Frame, every_error_has_a_sentence_of_its_own) {
  std::set<std::string_view> sentences;
  for (int error = 0; error <= static_cast<int>(FrameError::over_limit); ++error) {
    const std::string_view sentence = explain(static_cast<FrameError>(error));
    EXPECT_NE(sentence, "");
    EXPECT_NE(sentence, "unknown error") << error;
    EXPECT_TRUE(sentences.insert(sentence).second) << sentence;
  }
}

TEST(Frame, statuses_have_the_documents_numbers_and_names) {
  constexpr std::array<std::string_view, kStatusCount> kNames = {
      "ok",        "failed",    "busy",        "expired",      "cancelled",
      "not_found", "too_large", "bad_request", "shutting_down"};
  for (std::uint8_t status = 0; status < kStatusCount; ++status) {
    EXPECT_EQ(name_of(static_cast<Status>(status)), kNames[status]);
  }
  EXPECT_EQ(name_of(static_cast<Status>(kStatusCount)), "unknown");
}

// --- What may be answered --------------------------------------------------------------

TEST(Frame, looks_like_a_frame_when_it_starts_with_the_magic) {
  EXPECT_TRUE(looks_like_frame(kFrameMagic));
  EXPECT_TRUE(looks_like_frame(bare(FrameType::ping)));
  EXPECT_TRUE(looks_like_frame(std::string(kFrameMagic) + "anything"));
  EXPECT_FALSE(looks_like_frame(""));
  EXPECT_FALSE(looks_like_frame(kFrameMagic.substr(0, 1)));
  EXPECT_FALSE(looks_like_frame(kFrameMagic.substr(0, 2)));
  EXPECT_FALSE(looks_like_frame(" " + std::string(kFrameMagic)));
}

TEST(Frame, only_what_is_no_answer_is_answerable) {
  EXPECT_TRUE(is_answerable(request("upper", "hello")));
  EXPECT_TRUE(is_answerable(bare(FrameType::ping)));
  EXPECT_FALSE(is_answerable(reply(Status::ok, "")));
  EXPECT_FALSE(is_answerable(reply(Status::bad_request, "why")));
  EXPECT_FALSE(is_answerable(bare(FrameType::pong)));
}

TEST(Frame, a_wrong_request_is_answerable) {
  const std::string good = request("upper", "hello");
  EXPECT_TRUE(is_answerable(with_byte(good, kVersionAt, 2)));
  EXPECT_TRUE(is_answerable(with_byte(good, kTypeAt, 0)));
  EXPECT_TRUE(is_answerable(with_byte(good, kTypeAt, 5)));
  EXPECT_TRUE(is_answerable(with_byte(good, kTypeAt, 255)));
  EXPECT_TRUE(is_answerable(with_byte(good, kFlagsAt, 1)));
  EXPECT_TRUE(is_answerable(good + "trailing"));
  EXPECT_TRUE(is_answerable(std::string_view(good).substr(0, good.size() - 1)));
}

TEST(Frame, a_wrong_answer_is_not_answerable) {
  for (const std::string& good : {reply(Status::ok, "x"), bare(FrameType::pong)}) {
    EXPECT_FALSE(is_answerable(with_byte(good, kVersionAt, 2)));
    EXPECT_FALSE(is_answerable(with_byte(good, kFlagsAt, 1)));
    EXPECT_FALSE(is_answerable(with_byte(good, kPriorityOrStatusAt, 99)));
    EXPECT_FALSE(is_answerable(good + "trailing"));
  }
}

TEST(Frame, what_has_not_all_of_its_header_is_not_answerable) {
  const std::string bytes = request("upper", "hello");
  for (std::size_t size = 0; size < kFrameHeaderBytes; ++size) {
    EXPECT_FALSE(is_answerable(std::string_view(bytes).substr(0, size))) << size;
  }
  EXPECT_TRUE(is_answerable(std::string_view(bytes).substr(0, kFrameHeaderBytes)));
}

// --- Anything --------------------------------------------------------------------------

// There is one way to write a frame: whatever is accepted encodes to the very bytes it came from.
TEST(Frame, whatever_datagram_is_accepted_encodes_to_the_same_bytes) {
  std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same cases each time
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  constexpr int kCases = 20'000;
  int accepted = 0;
  for (int i = 0; i < kCases; ++i) {
    std::string bytes;
    switch (below(4)) {
      case 0:
        bytes = request(std::string(1 + below(8), 'n'), std::string(below(40), 'p'));
        break;
      case 1:
        bytes = reply(static_cast<Status>(below(9)), std::string(below(40), 'p'));
        break;
      case 2:
        bytes = bare(FrameType::ping);
        break;
      default:
        bytes = bare(FrameType::pong);
        break;
    }
    for (std::size_t mutations = below(3); mutations > 0; --mutations) {
      switch (below(8)) {
        case 0:
          bytes.resize(below(bytes.size() + 1));
          break;
        case 1:
          bytes += static_cast<char>(random());
          break;
        default:
          if (!bytes.empty()) bytes[below(bytes.size())] = static_cast<char>(random());
          break;
      }
    }
    Frame frame;
    const FrameError error = decode_datagram(bytes, frame);
    if (error == FrameError::none) {
      ++accepted;
      ASSERT_EQ(to_hex(encode(frame)), to_hex(bytes));
      ASSERT_TRUE(looks_like_frame(bytes));
    } else {
      ASSERT_NE(error, FrameError::over_limit);  // the receiver's to say
      ASSERT_EQ(error == FrameError::bad_magic,
                !kFrameMagic.starts_with(std::string_view(bytes).substr(0, kFrameMagic.size())));
    }
  }
  // Neither half of the assertions is idle.
  EXPECT_GT(accepted, kCases / 10);
  EXPECT_LT(accepted, kCases * 9 / 10);
}

}  // namespace
}  // namespace evpool
