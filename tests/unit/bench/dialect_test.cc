#include "bench/load/dialect.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/peer_dialects.h"
#include "protocol/frame.h"

namespace evpool::bench {
namespace {

using namespace std::string_literals;

struct Reply {
  std::optional<std::uint64_t> id;
  Status status = Status::ok;
  std::string payload;

  friend bool operator==(const Reply&, const Reply&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Reply& reply) {
    if (reply.id) out << *reply.id << ' ';
    return out << name_of(reply.status) << " '" << reply.payload.substr(0, 64) << '\'';
  }
};
using Replies = std::vector<Reply>;

void take(ReplyReader& reader, Replies& replies) {
  // A few at a time: more than one, and fewer than there often are.
  std::array<IncomingReply, 3> taken;
  while (const std::size_t count = reader.next(taken)) {
    for (const IncomingReply& reply : std::span(taken).first(count)) {
      replies.push_back({reply.id, reply.status, std::string(reply.payload)});
    }
  }
}

// Each piece has memory of its own, which is gone when the next one comes.
Replies read_in_pieces(const Dialect& dialect, std::string_view stream, std::size_t piece_bytes) {
  const auto reader = dialect.make_reader();
  Replies replies;
  while (!stream.empty()) {
    const auto piece = std::make_unique<std::string>(stream.substr(0, piece_bytes));
    stream.remove_prefix(piece->size());
    reader->push(*piece);
    take(*reader, replies);
    std::fill(piece->begin(), piece->end(), '#');
  }
  return replies;
}

// Whole, a byte at a time, and cut at each place.
void expect_replies(const Dialect& dialect, std::string_view stream, const Replies& expected) {
  EXPECT_EQ(read_in_pieces(dialect, stream, stream.size()), expected) << "in one piece";
  for (std::size_t piece_bytes = 1; piece_bytes < std::min<std::size_t>(stream.size(), 100);
       ++piece_bytes) {
    EXPECT_EQ(read_in_pieces(dialect, stream, piece_bytes), expected)
        << "in pieces of " << piece_bytes;
  }
  for (std::size_t cut = 1; cut < stream.size(); ++cut) {
    const auto reader = dialect.make_reader();
    Replies replies;
    for (const std::string& piece :
         {std::string(stream.substr(0, cut)), std::string(stream.substr(cut))}) {
      reader->push(piece);
      take(*reader, replies);
    }
    EXPECT_EQ(replies, expected) << "cut after " << cut;
  }
}

// However it is cut, and after the replies that came before it, of which `before` says how many.
void expect_nonsense(const Dialect& dialect, std::string_view stream, std::size_t before = 0) {
  for (const std::size_t piece_bytes : {stream.size(), std::size_t{1}}) {
    const auto reader = dialect.make_reader();
    Replies replies;
    try {
      for (std::size_t at = 0; at < stream.size(); at += piece_bytes) {
        const std::string piece(stream.substr(at, piece_bytes));
        reader->push(piece);
        take(*reader, replies);
      }
      ADD_FAILURE() << "took '" << stream << "' in pieces of " << piece_bytes;
    } catch (const std::runtime_error& error) {
      EXPECT_GT(std::strlen(error.what()), 20U) << error.what();
    }
    EXPECT_EQ(replies.size(), before);
  }
}

std::string request(const Dialect& dialect, const OutgoingRequest& outgoing) {
  SendBuffer out;
  out.append("before");
  dialect.append_requests({&outgoing, 1}, out);
  EXPECT_TRUE(out.unsent().starts_with("before"));
  return std::string(out.unsent().substr(6));
}

std::string letters(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

// Receives as the generator does: into space() while there is some, otherwise `step_bytes` at a
// time into a buffer to be pushed. Returns how many bytes went straight to their place.
std::size_t receive(ReplyReader& reader, std::string_view stream, std::size_t step_bytes,
                    Replies& replies) {
  std::size_t straight = 0;
  while (!stream.empty()) {
    const std::span<char> space = reader.space();
    const std::size_t wanted = space.empty() ? step_bytes : std::min(step_bytes, space.size());
    const std::string piece(stream.substr(0, wanted));
    stream.remove_prefix(piece.size());
    if (space.empty()) {
      reader.push(piece);
    } else {
      std::copy(piece.begin(), piece.end(), space.begin());
      reader.received(piece.size());
      straight += piece.size();
    }
    take(reader, replies);
  }
  return straight;
}

// --- Frames --------------------------------------------------------------------------------------

std::string reply_frame(std::uint64_t id, Status status, std::string_view payload) {
  std::string frame;
  append_reply_header(id, status, static_cast<std::uint32_t>(payload.size()), frame);
  return frame.append(payload);
}

std::string pong_frame(std::uint64_t id) {
  std::string frame;
  append_header({.type = FrameType::pong, .id = id}, frame);
  return frame;
}

TEST(FrameDialectTest, writes_requests) {
  EXPECT_EQ(request(*make_frame_dialect(), {.id = 0x0102030405060708,
                                            .job = "upper",
                                            .payload = "abc",
                                            .timeout_ms = 1000,
                                            .priority = Priority::high}),
            "\xF6"
            "ev\x01\x01\x00\x01\x05\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x03\xE8\x00\x00\x00\x03"
            "upperabc"s);
}

TEST(FrameDialectTest, reads_replies_with_their_ids_and_statuses) {
  const std::string long_payload = letters(300);
  expect_replies(*make_frame_dialect(),
                 reply_frame(7, Status::ok, "ABC") + reply_frame(3, Status::busy, "") +
                     reply_frame(UINT64_MAX, Status::failed, long_payload) +
                     reply_frame(8, Status::ok, "D"),
                 {{7, Status::ok, "ABC"},
                  {3, Status::busy, ""},
                  {UINT64_MAX, Status::failed, long_payload},
                  {8, Status::ok, "D"}});
}

TEST(FrameDialectTest, skips_frames_that_are_no_replies) {
  expect_replies(*make_frame_dialect(),
                 pong_frame(1) + reply_frame(2, Status::ok, "x") + pong_frame(3),
                 {{2, Status::ok, "x"}});
}

TEST(FrameDialectTest, takes_what_is_no_frame_for_nonsense) {
  expect_nonsense(*make_frame_dialect(), "HTTP/1.1 400 Bad Request\r\n\r\n");
  expect_nonsense(*make_frame_dialect(), reply_frame(1, Status::ok, "x") + std::string(24, '?'), 1);
}

TEST(FrameDialectTest, receives_large_payloads_in_their_place) {
  const std::string large = letters(1'000'000);
  for (const std::size_t step_bytes : {std::size_t{1} << 10U, std::size_t{300'000}}) {
    const auto reader = make_frame_dialect()->make_reader();
    Replies replies;
    const std::size_t straight =
        receive(*reader,
                reply_frame(1, Status::ok, large) + reply_frame(2, Status::ok, "small") +
                    reply_frame(3, Status::ok, large),
                step_bytes, replies);
    EXPECT_GT(straight, 1'000'000U) << step_bytes;
    EXPECT_EQ(replies,
              (Replies{{1, Status::ok, large}, {2, Status::ok, "small"}, {3, Status::ok, large}}));
  }
}

TEST(FrameDialectTest, reads_datagrams_that_are_replies_and_no_others) {
  const auto dialect = make_frame_dialect();
  const std::string datagram = reply_frame(9, Status::busy, "full");
  IncomingReply reply;
  ASSERT_TRUE(dialect->read_datagram(datagram, reply));
  EXPECT_EQ(reply.id, 9U);
  EXPECT_EQ(reply.status, Status::busy);
  EXPECT_EQ(reply.payload, "full");

  for (const std::string& other :
       {""s, "x"s, datagram.substr(0, 23), datagram.substr(0, 27), datagram + "x", pong_frame(9),
        request(*dialect, {.id = 9, .job = "upper", .payload = "full"})}) {
    EXPECT_FALSE(dialect->read_datagram(other, reply)) << other.size();
  }
}

// --- No frames -----------------------------------------------------------------------------------

TEST(RawDialectTest, sends_the_payload_alone) {
  EXPECT_EQ(request(*make_raw_dialect(4), {.id = 1, .job = "upper", .payload = "abcd"}), "abcd");
}

TEST(RawDialectTest, cuts_what_comes_into_replies_of_one_size) {
  expect_replies(*make_raw_dialect(4), "ABCDEFGHIJKLMN",
                 {{std::nullopt, Status::ok, "ABCD"},
                  {std::nullopt, Status::ok, "EFGH"},
                  {std::nullopt, Status::ok, "IJKL"}});
}

TEST(RawDialectTest, receives_large_replies_in_their_place) {
  const std::string large = letters(200'000);
  const auto reader = make_raw_dialect(200'000)->make_reader();
  Replies replies;
  EXPECT_EQ(receive(*reader, large + large + large.substr(1), 65'536, replies), 599'999U);
  EXPECT_EQ(replies,
            (Replies{{std::nullopt, Status::ok, large}, {std::nullopt, Status::ok, large}}));
}

TEST(RawDialectTest, takes_large_replies_that_are_pushed) {
  const std::string large = letters(20'000);
  EXPECT_EQ(read_in_pieces(*make_raw_dialect(20'000), large + large + large, 27'000),
            Replies(3, {std::nullopt, Status::ok, large}));
}

TEST(RawDialectTest, reads_datagrams_of_its_size) {
  const auto dialect = make_raw_dialect(4);
  IncomingReply reply;
  EXPECT_FALSE(dialect->read_datagram("ABC", reply));
  EXPECT_FALSE(dialect->read_datagram("ABCDE", reply));
  ASSERT_TRUE(dialect->read_datagram("ABCD", reply));
  EXPECT_FALSE(reply.id.has_value());
  EXPECT_EQ(reply.status, Status::ok);
  EXPECT_EQ(reply.payload, "ABCD");
}

TEST(RawDialectTest, refuses_to_send_nothing) {
  EXPECT_THROW(static_cast<void>(make_raw_dialect(0)), std::invalid_argument);
}

// --- redis ---------------------------------------------------------------------------------------

TEST(RedisDialectTest, writes_requests) {
  const auto dialect = make_redis_dialect();
  EXPECT_EQ(request(*dialect, {.id = 1, .job = "echo", .payload = "hello world"}),
            "*2\r\n$4\r\nECHO\r\n$11\r\nhello world\r\n");
  EXPECT_EQ(request(*dialect, {.id = 1, .job = "echo", .payload = ""}),
            "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n");
  EXPECT_EQ(dialect->greeting(), "");
}

TEST(RedisDialectTest, reads_strings_of_any_bytes) {
  expect_replies(*make_redis_dialect(), "$5\r\nhello\r\n$0\r\n\r\n$12\r\n\r\n$3\r\nab\r\n\r\n\r\n",
                 {{std::nullopt, Status::ok, "hello"},
                  {std::nullopt, Status::ok, ""},
                  {std::nullopt, Status::ok, "\r\n$3\r\nab\r\n\r\n"}});
}

TEST(RedisDialectTest, reads_errors_and_nil) {
  expect_replies(*make_redis_dialect(), "-ERR unknown command\r\n$-1\r\n$1\r\nx\r\n",
                 {{std::nullopt, Status::failed, "ERR unknown command"},
                  {std::nullopt, Status::not_found, ""},
                  {std::nullopt, Status::ok, "x"}});
}

TEST(RedisDialectTest, reads_a_large_string_in_small_pieces) {
  const std::string large = letters(1'000'000);
  const std::string stream = "$1000000\r\n" + large + "\r\n";
  EXPECT_EQ(read_in_pieces(*make_redis_dialect(), stream + stream, 1000),
            Replies(2, {std::nullopt, Status::ok, large}));
}

TEST(RedisDialectTest, takes_other_answers_for_nonsense) {
  const auto dialect = make_redis_dialect();
  expect_nonsense(*dialect, "+PONG\r\n");
  expect_nonsense(*dialect, "\r\n");
  expect_nonsense(*dialect, "$\r\n");
  expect_nonsense(*dialect, "$five\r\nhello\r\n");
  expect_nonsense(*dialect, "$-2\r\n");
  expect_nonsense(*dialect, "$99999999999999999999999\r\n");
  expect_nonsense(*dialect, "$600000000\r\n");
  expect_nonsense(*dialect, "$5\nhello\r\n");
  expect_nonsense(*dialect, "$1\r\nx\r\n$4\r\nhello\r\n", 1);
  expect_nonsense(*dialect, std::string(10'000, 'x'));
}

// --- memcached -----------------------------------------------------------------------------------

TEST(MemcachedDialectTest, stores_once_and_then_gets) {
  const auto dialect = make_memcached_dialect("hello");
  EXPECT_EQ(dialect->greeting(), "set evpool 0 0 5\r\nhello\r\n");
  EXPECT_EQ(request(*dialect, {.id = 1, .job = "get", .payload = "ignored"}), "get evpool\r\n");
}

TEST(MemcachedDialectTest, swallows_the_answer_to_the_greeting) {
  expect_replies(*make_memcached_dialect("hello"), "STORED\r\n", {});
}

TEST(MemcachedDialectTest, reads_values_of_any_bytes) {
  expect_replies(*make_memcached_dialect("END\r\nx"),
                 "STORED\r\nVALUE evpool 0 6\r\nEND\r\nx\r\nEND\r\n"
                 "VALUE evpool 0 6\r\nEND\r\nx\r\nEND\r\n",
                 Replies(2, {std::nullopt, Status::ok, "END\r\nx"}));
}

TEST(MemcachedDialectTest, reads_misses_and_errors) {
  expect_replies(*make_memcached_dialect("x"),
                 "STORED\r\nEND\r\nSERVER_ERROR out of memory\r\nERROR\r\nCLIENT_ERROR bad\r\n"
                 "VALUE evpool 0 1\r\nx\r\nEND\r\n",
                 {{std::nullopt, Status::not_found, ""},
                  {std::nullopt, Status::failed, "SERVER_ERROR out of memory"},
                  {std::nullopt, Status::failed, "ERROR"},
                  {std::nullopt, Status::failed, "CLIENT_ERROR bad"},
                  {std::nullopt, Status::ok, "x"}});
}

TEST(MemcachedDialectTest, takes_other_answers_for_nonsense) {
  const auto dialect = make_memcached_dialect("hello");
  expect_nonsense(*dialect, "SERVER_ERROR out of memory storing object\r\n");
  expect_nonsense(*dialect, "VALUE evpool 0 5\r\nhello\r\nEND\r\n");  // not stored before
  expect_nonsense(*dialect, "STORED\r\nSTORED\r\n");
  expect_nonsense(*dialect, "STORED\r\nVALUE evpool 0 4\r\nhell\r\nEND\r\n");
  expect_nonsense(*dialect, "STORED\r\nVALUE evpool 0 5\r\nhallo\r\nEND\r\n");
  expect_nonsense(*dialect, "STORED\r\nVALUE evpool 0 5\r\nhello\r\nMORE\r\n");
  expect_nonsense(*dialect, "STORED\r\n" + std::string(10'000, 'x'));
}

// --- memcached over UDP --------------------------------------------------------------------------

constexpr std::string_view kOnlyDatagram{"\0\0\0\1\0\0", 6};

TEST(MemcachedUdpDialect, puts_a_header_with_half_of_the_id_before_a_get) {
  const auto dialect = make_memcached_udp_dialect("x");
  EXPECT_EQ(request(*dialect, {.id = 0x123456, .job = "get", .payload = {}}),
            "\x34\x56" + std::string(kOnlyDatagram) + "get evpool\r\n");
}

TEST(MemcachedUdpDialect, takes_a_datagram_with_the_value_and_no_other) {
  const auto dialect = make_memcached_udp_dialect("hello");
  IncomingReply reply;
  const std::string header = "\x34\x56" + std::string(kOnlyDatagram);
  EXPECT_TRUE(dialect->read_datagram(header + "VALUE evpool 0 5\r\nhello\r\nEND\r\n", reply));
  EXPECT_EQ(reply.payload, "hello");
  EXPECT_EQ(reply.status, Status::ok);
  EXPECT_FALSE(reply.id);
  const std::string first_of_two = std::string("\x34\x56\0\0\0\2\0\0", 8);
  for (const std::string& datagram :
       {std::string(), header, header + "END\r\n", header + "VALUE evpool 0 5\r\nhullo\r\nEND\r\n",
        first_of_two + "VALUE evpool 0 5\r\nhello\r\nEND\r\n"}) {
    EXPECT_FALSE(dialect->read_datagram(datagram, reply)) << datagram;
  }
}

// --- gearmand ------------------------------------------------------------------------------------

std::string packet(char type, std::string_view body) {
  std::string bytes = "\0RES\0\0\0"s;
  bytes.push_back(type);
  bytes.append(2, '\0');
  bytes.push_back(static_cast<char>(body.size() >> 8));
  bytes.push_back(static_cast<char>(body.size() & 0xFF));
  return bytes.append(body);
}
std::string job_created() { return packet(8, "H:host:1"); }
std::string work_complete(std::string_view data) {
  return packet(13, "H:host:1\0"s + std::string(data));
}

TEST(GearmanDialectTest, writes_requests) {
  EXPECT_EQ(request(*make_gearman_dialect(),
                    {.id = 0x0123456789ABCDEF, .job = "upper", .payload = "hello"}),
            "\0REQ\0\0\0\x07\0\0\0\x1C"
            "upper\0\0"
            "0123456789abcdefhello"s);
}

TEST(GearmanDialectTest, reads_results_in_any_order_by_the_id_in_front) {
  expect_replies(
      *make_gearman_dialect(),
      job_created() + job_created() + work_complete("ffffffffffffffffHELLO"s) +
          work_complete("0000000000000002\0\0"s) + job_created() +
          work_complete("0000000000000003"),
      {{UINT64_MAX, Status::ok, "HELLO"}, {2, Status::ok, "\0\0"s}, {3, Status::ok, ""}});
}

TEST(GearmanDialectTest, takes_other_answers_for_nonsense) {
  const auto dialect = make_gearman_dialect();
  expect_nonsense(*dialect, "ERR unknown_command\r\n");
  expect_nonsense(*dialect, "\0REQ\0\0\0\x08\0\0\0\0"s);
  expect_nonsense(*dialect, "\0RES\0\0\0\x0D\xFF\xFF\xFF\xFF"s);
  expect_nonsense(*dialect, job_created() + packet(14, "H:host:1"));
  expect_nonsense(*dialect, packet(19, "QUEUE_FULL\0Job queue is full"s));
  expect_nonsense(*dialect, packet(6, ""));
  expect_nonsense(*dialect, packet(13, "H:host:1"));
  expect_nonsense(*dialect, work_complete("HELLO"));
  expect_nonsense(*dialect, work_complete("0000000000000001X") + work_complete("000000000000000xX"),
                  1);
}

// --- All of the peers' ---------------------------------------------------------------------------

TEST(PeerDialectTest, tells_whether_replies_have_ids) {
  EXPECT_TRUE(make_frame_dialect()->has_ids());
  EXPECT_FALSE(make_raw_dialect(1)->has_ids());
  EXPECT_FALSE(make_redis_dialect()->has_ids());
  EXPECT_FALSE(make_memcached_dialect("x")->has_ids());
  EXPECT_TRUE(make_gearman_dialect()->has_ids());
}

TEST(PeerDialectTest, knows_no_datagrams) {
  IncomingReply reply;
  EXPECT_FALSE(make_redis_dialect()->read_datagram("$1\r\nx\r\n", reply));
  EXPECT_FALSE(make_memcached_dialect("x")->read_datagram("VALUE evpool 0 1\r\nx\r\n", reply));
  EXPECT_FALSE(make_gearman_dialect()->read_datagram(work_complete("0000000000000001X"), reply));
}

}  // namespace
}  // namespace evpool::bench
