#include "protocol/frame_splitter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <new>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// ThreadSanitizer brings an operator new of its own, which clang does not let a program replace.
#if defined(__SANITIZE_THREAD__)
#define EVPOOL_TEST_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define EVPOOL_TEST_COUNTS_ALLOCATIONS 0
#endif
#endif
#ifndef EVPOOL_TEST_COUNTS_ALLOCATIONS
#define EVPOOL_TEST_COUNTS_ALLOCATIONS 1
#endif

#if EVPOOL_TEST_COUNTS_ALLOCATIONS
namespace {

// All bytes that operator new was asked for on this thread; see AllocationCount.
thread_local std::size_t allocated_bytes = 0;

void* allocate(std::size_t bytes) noexcept {
  allocated_bytes += bytes;
  return std::malloc(bytes == 0 ? 1 : bytes);
}

void* allocate_or_throw(std::size_t bytes) {
  if (void* const memory = allocate(bytes)) return memory;
  throw std::bad_alloc();
}

// Not inlined: where g++ saw free() behind a new-expression it would warn of a mismatch.
[[gnu::noinline]] void deallocate(void* memory) noexcept { std::free(memory); }

}  // namespace

// The whole family without alignment, so that no allocation is freed by the other kind.
void* operator new(std::size_t bytes) { return allocate_or_throw(bytes); }
void* operator new[](std::size_t bytes) { return allocate_or_throw(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void operator delete(void* memory) noexcept { deallocate(memory); }
void operator delete[](void* memory) noexcept { deallocate(memory); }
void operator delete(void* memory, std::size_t) noexcept { deallocate(memory); }
void operator delete[](void* memory, std::size_t) noexcept { deallocate(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { deallocate(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { deallocate(memory); }
#endif

namespace evpool {
namespace {

using Item = FrameSplitter::Item;

constexpr std::size_t kDirectBytes = FrameSplitter::kDirectBytes;
constexpr std::uint32_t kLimitBytes = 1U << 20U;

#if EVPOOL_TEST_COUNTS_ALLOCATIONS
// What has been allocated since its construction.
class AllocationCount {
 public:
  [[nodiscard]] std::size_t bytes() const { return allocated_bytes - before_; }

 private:
  const std::size_t before_ = allocated_bytes;
};
#endif

// One thing that a splitter said, whole and comparable.
struct Event {
  Item item = Item::frame;
  FrameError error = FrameError::none;  // of malformed
  std::uint64_t id = 0;
  std::string bytes;  // the frame encoded again; of an oversize one its header and name

  friend bool operator==(const Event&, const Event&) = default;
  friend void PrintTo(const Event& event, std::ostream* out) {
    *out << "item " << static_cast<int>(event.item) << " error " << explain(event.error) << " id "
         << event.id << " of " << event.bytes.size() << " bytes";
  }
};

using Events = std::vector<Event>;

Event event_of(Item item, const Frame& frame, FrameError error) {
  Event event{.item = item, .error = error, .id = frame.header.id, .bytes = {}};
  if (item == Item::malformed) return event;
  append_header(frame.header, event.bytes);
  event.bytes += frame.name;
  if (item == Item::frame) event.bytes += frame.payload;
  return event;
}

// What next() says until it needs more.
Events drain(FrameSplitter& splitter) {
  Events events;
  Frame frame;
  for (Item item = splitter.next(frame); item != Item::need_more; item = splitter.next(frame)) {
    events.push_back(event_of(item, frame, splitter.error()));
  }
  return events;
}

// Each chunk in memory of its own, so that a sanitizer sees who keeps a view into it too long.
Events push(FrameSplitter& splitter, std::string_view chunk) {
  const std::vector<char> bytes(chunk.begin(), chunk.end());
  splitter.push({bytes.data(), bytes.size()});
  return drain(splitter);
}

void append(Events& to, Events&& more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// All that a new splitter says to `stream`, cut where `next_bytes` says, and its end.
struct Outcome {
  Events events;
  bool inside_frame = false;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

template <typename NextBytes>
Outcome split(std::string_view stream, std::uint32_t limit_bytes, NextBytes next_bytes) {
  FrameSplitter splitter(limit_bytes);
  Outcome outcome;
  while (!stream.empty()) {
    const std::string_view chunk = stream.substr(0, next_bytes());
    append(outcome.events, push(splitter, chunk));
    stream.remove_prefix(chunk.size());
  }
  outcome.inside_frame = splitter.inside_frame();
  return outcome;
}

Outcome split_whole(std::string_view stream, std::uint32_t limit_bytes = kLimitBytes) {
  return split(stream, limit_bytes, [] { return std::string_view::npos; });
}

Outcome split_by(std::size_t bytes, std::string_view stream,
                 std::uint32_t limit_bytes = kLimitBytes) {
  return split(stream, limit_bytes, [bytes] { return bytes; });
}

// As a receiver does that puts large payloads into their final place.
Outcome split_receiving(std::string_view stream, std::size_t buffer_bytes,
                        std::uint32_t limit_bytes = kLimitBytes) {
  FrameSplitter splitter(limit_bytes);
  Outcome outcome;
  while (!stream.empty()) {
    const std::span<char> body = splitter.body_space();
    if (body.empty()) {
      const std::string_view chunk = stream.substr(0, buffer_bytes);
      append(outcome.events, push(splitter, chunk));
      stream.remove_prefix(chunk.size());
    } else {
      const std::size_t received = std::min({body.size(), stream.size(), buffer_bytes});
      std::memcpy(body.data(), stream.data(), received);
      stream.remove_prefix(received);
      splitter.body_received(received);
      append(outcome.events, drain(splitter));
    }
  }
  outcome.inside_frame = splitter.inside_frame();
  return outcome;
}

std::string payload_of(std::size_t bytes) {
  std::string payload(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) payload[i] = static_cast<char>(i * 31 + i / 251);
  return payload;
}

std::string request(std::uint64_t id, std::string_view payload, std::string_view name = "upper") {
  std::string bytes;
  append_request(id, name, payload, 1000, Priority::high, bytes);
  return bytes;
}

// A request's beginning, with any length of payload claimed.
std::string claim(std::uint64_t id, std::uint32_t payload_bytes, std::string_view name = "upper") {
  std::string bytes;
  append_header({.type = FrameType::request,
                 .name_bytes = static_cast<std::uint8_t>(name.size()),
                 .id = id,
                 .payload_bytes = payload_bytes},
                bytes);
  return bytes.append(name);
}

std::string reply(std::uint64_t id, std::string_view payload) {
  std::string bytes;
  append_reply_header(id, Status::failed, static_cast<std::uint32_t>(payload.size()), bytes);
  return bytes.append(payload);
}

std::string bare(FrameType type, std::uint64_t id) {
  std::string bytes;
  append_header({.type = type, .id = id}, bytes);
  return bytes;
}

Event whole(std::uint64_t id, std::string bytes) {
  return {.item = Item::frame, .error = FrameError::none, .id = id, .bytes = std::move(bytes)};
}

Event oversize(std::uint64_t id, std::string bytes) {
  return {.item = Item::oversize, .error = FrameError::none, .id = id, .bytes = std::move(bytes)};
}

Event malformed(std::uint64_t id, FrameError error) {
  return {.item = Item::malformed, .error = error, .id = id, .bytes = {}};
}

// --- Small frames ----------------------------------------------------------------------

TEST(FrameSplitter, needs_more_of_nothing) {
  FrameSplitter splitter(kLimitBytes);
  EXPECT_EQ(drain(splitter), Events{});
  EXPECT_EQ(push(splitter, ""), Events{});
  EXPECT_FALSE(splitter.inside_frame());
  EXPECT_TRUE(splitter.body_space().empty());
  EXPECT_EQ(splitter.error(), FrameError::none);
}

TEST(FrameSplitter, gives_every_field_of_a_frame) {
  FrameSplitter splitter(kLimitBytes);
  const std::string bytes = request(7, "hello");
  splitter.push(bytes);
  Frame frame;
  ASSERT_EQ(splitter.next(frame), Item::frame);
  EXPECT_EQ(frame.header.type, FrameType::request);
  EXPECT_EQ(frame.header.priority, Priority::high);
  EXPECT_EQ(frame.header.id, 7U);
  EXPECT_EQ(frame.header.timeout_ms, 1000U);
  EXPECT_EQ(frame.name, "upper");
  EXPECT_EQ(frame.payload, "hello");
  EXPECT_EQ(splitter.next(frame), Item::need_more);
}

TEST(FrameSplitter, joins_a_frame_that_comes_byte_by_byte) {
  const std::string bytes = request(7, "hello");
  FrameSplitter splitter(kLimitBytes);
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    EXPECT_EQ(push(splitter, bytes.substr(i, 1)), Events{}) << i;
    EXPECT_TRUE(splitter.inside_frame()) << i;
  }
  EXPECT_EQ(push(splitter, bytes.substr(bytes.size() - 1)), Events{whole(7, bytes)});
  EXPECT_FALSE(splitter.inside_frame());
}

TEST(FrameSplitter, gives_several_frames_of_one_chunk_in_order) {
  const std::string first = request(1, "one");
  const std::string second = reply(2, "two");
  const std::string third = bare(FrameType::ping, 3);
  const std::string fourth = bare(FrameType::pong, 4);
  EXPECT_EQ(split_whole(first + second + third + fourth),
            (Outcome{{whole(1, first), whole(2, second), whole(3, third), whole(4, fourth)}}));
}

TEST(FrameSplitter, keeps_the_beginning_of_the_frame_after_several) {
  const std::string first = request(1, "one");
  const std::string second = request(2, "two");
  FrameSplitter splitter(kLimitBytes);
  EXPECT_EQ(push(splitter, first + second.substr(0, 10)), Events{whole(1, first)});
  EXPECT_TRUE(splitter.inside_frame());
  EXPECT_EQ(push(splitter, second.substr(10) + first), (Events{whole(2, second), whole(1, first)}));
  EXPECT_FALSE(splitter.inside_frame());
}

TEST(FrameSplitter, gives_a_frame_with_an_empty_payload) {
  const std::string bytes = request(1, "");
  const Outcome expected{{whole(1, bytes), whole(1, bytes)}};
  EXPECT_EQ(split_whole(bytes + bytes), expected);
  EXPECT_EQ(split_by(1, bytes + bytes), expected);
  EXPECT_EQ(split_whole(bytes + bytes, 0), expected);
}

TEST(FrameSplitter, gives_a_frame_with_a_name_of_255_bytes) {
  const std::string bytes = request(1, "p", std::string(kMaxJobNameBytes, 'n'));
  const Outcome expected{{whole(1, bytes), whole(1, bytes)}};
  EXPECT_EQ(split_whole(bytes + bytes), expected);
  EXPECT_EQ(split_by(1, bytes + bytes), expected);
}

TEST(FrameSplitter, gives_the_same_wherever_three_frames_are_cut_in_three) {
  const std::string frames[] = {request(1, "hello"), bare(FrameType::ping, 2), reply(3, "no")};
  const std::string stream = frames[0] + frames[1] + frames[2];
  const Events expected = {whole(1, frames[0]), whole(2, frames[1]), whole(3, frames[2])};
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    for (std::size_t second = first; second <= stream.size(); ++second) {
      FrameSplitter splitter(kLimitBytes);
      Events events = push(splitter, stream.substr(0, first));
      append(events, push(splitter, stream.substr(first, second - first)));
      append(events, push(splitter, stream.substr(second)));
      ASSERT_EQ(events, expected) << first << ' ' << second;
      ASSERT_FALSE(splitter.inside_frame());
    }
  }
}

TEST(FrameSplitter, gives_a_frame_as_soon_as_its_last_byte_is_there) {
  const std::string first = request(1, "hello");
  const std::string second = request(2, "");
  const std::string stream = first + second;
  FrameSplitter splitter(kLimitBytes);
  for (std::size_t i = 0; i < stream.size(); ++i) {
    const bool ends_frame = i + 1 == first.size() || i + 1 == stream.size();
    ASSERT_EQ(push(splitter, stream.substr(i, 1)).size(), ends_frame ? 1U : 0U) << i;
    ASSERT_EQ(splitter.inside_frame(), !ends_frame) << i;
  }
}

// --- Large payloads --------------------------------------------------------------------

TEST(FrameSplitter, gives_payloads_around_the_direct_size_however_they_come) {
  for (const std::size_t payload_bytes :
       {kDirectBytes - 1, kDirectBytes, kDirectBytes + 1, 3 * kDirectBytes}) {
    const std::string before = request(1, "before");
    const std::string large = request(2, payload_of(payload_bytes));
    const std::string after = request(3, "after");
    const std::string stream = before + large + after;
    const Outcome expected{{whole(1, before), whole(2, large), whole(3, after)}};
    EXPECT_EQ(split_whole(stream), expected) << payload_bytes;
    for (const std::size_t chunk_bytes : {std::size_t{1}, std::size_t{1000}, kDirectBytes}) {
      EXPECT_EQ(split_by(chunk_bytes, stream), expected) << payload_bytes << ' ' << chunk_bytes;
      EXPECT_EQ(split_receiving(stream, chunk_bytes), expected)
          << payload_bytes << ' ' << chunk_bytes;
    }
  }
}

TEST(FrameSplitter, offers_body_space_from_the_direct_size_on) {
  for (const std::size_t payload_bytes : {kDirectBytes - 1, kDirectBytes, kDirectBytes + 1}) {
    const std::string bytes = request(1, payload_of(payload_bytes));
    FrameSplitter splitter(kLimitBytes);
    // Not before the header and the name are there.
    EXPECT_EQ(push(splitter, bytes.substr(0, 28)), Events{});
    EXPECT_TRUE(splitter.body_space().empty());
    EXPECT_EQ(push(splitter, bytes.substr(28, 1)), Events{});
    EXPECT_EQ(splitter.body_space().empty(), payload_bytes < kDirectBytes) << payload_bytes;
    EXPECT_TRUE(splitter.inside_frame());
  }
}

TEST(FrameSplitter, offers_no_body_space_for_a_small_payload_at_the_limit) {
  const std::string bytes = request(1, payload_of(100));
  FrameSplitter splitter(100);
  EXPECT_EQ(push(splitter, bytes.substr(0, 29)), Events{});
  EXPECT_TRUE(splitter.body_space().empty());
  EXPECT_EQ(push(splitter, bytes.substr(29)), Events{whole(1, bytes)});
}

TEST(FrameSplitter, offers_no_more_body_space_than_the_payload_needs) {
  const std::string bytes = request(1, payload_of(kDirectBytes + 7));
  FrameSplitter splitter(kLimitBytes);
  EXPECT_EQ(push(splitter, bytes.substr(0, 29)), Events{});
  ASSERT_EQ(splitter.body_space().size(), kDirectBytes + 7);
  EXPECT_EQ(push(splitter, bytes.substr(29, kDirectBytes)), Events{});
  std::span<char> body = splitter.body_space();
  ASSERT_EQ(body.size(), 7U);
  std::memcpy(body.data(), &bytes[29 + kDirectBytes], 6);
  splitter.body_received(6);
  EXPECT_EQ(drain(splitter), Events{});
  body = splitter.body_space();
  ASSERT_EQ(body.size(), 1U);
  body.front() = bytes.back();
  splitter.body_received(1);
  EXPECT_TRUE(splitter.body_space().empty());
  EXPECT_TRUE(splitter.inside_frame());
  EXPECT_EQ(drain(splitter), Events{whole(1, bytes)});
  EXPECT_FALSE(splitter.inside_frame());
}

TEST(FrameSplitter, offers_the_same_body_space_until_something_is_received) {
  const std::string bytes = request(1, payload_of(kDirectBytes));
  FrameSplitter splitter(kLimitBytes);
  EXPECT_EQ(push(splitter, bytes.substr(0, 100)), Events{});
  const std::span<char> body = splitter.body_space();
  EXPECT_EQ(splitter.body_space().data(), body.data());
  EXPECT_EQ(splitter.body_space().size(), body.size());
  splitter.body_received(0);
  EXPECT_EQ(drain(splitter), Events{});
  EXPECT_EQ(splitter.body_space().size(), body.size());
}

TEST(FrameSplitter, takes_a_payload_partly_pushed_and_partly_received) {
  const std::string bytes = request(1, payload_of(1'000'000));
  std::string_view rest = bytes;
  FrameSplitter splitter(kLimitBytes);
  Events events;
  for (bool direct = false; !rest.empty(); direct = !direct) {
    const std::size_t piece_bytes = std::min<std::size_t>(rest.size(), 70'001);
    if (!direct) {
      append(events, push(splitter, rest.substr(0, piece_bytes)));
      rest.remove_prefix(piece_bytes);
      continue;
    }
    const std::span<char> body = splitter.body_space();
    ASSERT_FALSE(body.empty());
    const std::size_t received = std::min(body.size(), piece_bytes);
    std::memcpy(body.data(), rest.data(), received);
    splitter.body_received(received);
    append(events, drain(splitter));
    rest.remove_prefix(received);
  }
  EXPECT_EQ(events, Events{whole(1, bytes)});
}

TEST(FrameSplitter, gives_large_payloads_one_after_another) {
  std::string stream;
  Outcome expected;
  for (std::uint64_t id = 1; id <= 4; ++id) {
    const std::string bytes = request(id, payload_of(300'000 + id));
    stream += bytes;
    expected.events.push_back(whole(id, bytes));
  }
  EXPECT_EQ(split_whole(stream), expected);
  EXPECT_EQ(split_by(65'536, stream), expected);
  EXPECT_EQ(split_receiving(stream, 65'536), expected);
}

TEST(FrameSplitter, takes_a_reply_with_a_large_payload) {
  const std::string bytes = reply(9, payload_of(kDirectBytes + 1));
  EXPECT_EQ(split_whole(bytes), Outcome{{whole(9, bytes)}});
  EXPECT_EQ(split_receiving(bytes, 100), Outcome{{whole(9, bytes)}});
}

TEST(FrameSplitter, is_inside_a_frame_whose_payload_is_under_way) {
  const std::string bytes = request(1, payload_of(kDirectBytes));
  EXPECT_TRUE(split_whole(bytes.substr(0, bytes.size() - 1)).inside_frame);
  EXPECT_TRUE(split_receiving(bytes.substr(0, bytes.size() - 1), 4096).inside_frame);
}

// --- Limits ----------------------------------------------------------------------------

TEST(FrameSplitter, takes_a_payload_at_the_limit_and_skips_one_over_it) {
  for (const std::size_t limit_bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{100}, kDirectBytes - 1, kDirectBytes,
        kDirectBytes + 1, 2 * kDirectBytes}) {
    const auto limit = static_cast<std::uint32_t>(limit_bytes);
    const std::string at_limit = request(1, payload_of(limit_bytes));
    const std::string over_limit = request(2, payload_of(limit_bytes + 1));
    const std::string after = request(3, "");
    const std::string stream = at_limit + over_limit + after;
    const Outcome expected{
        {whole(1, at_limit), oversize(2, over_limit.substr(0, 29)), whole(3, after)}};
    EXPECT_EQ(split_whole(stream, limit), expected) << limit;
    EXPECT_EQ(split_by(1, stream, limit), expected) << limit;
    EXPECT_EQ(split_by(29, stream, limit), expected) << limit;
    EXPECT_EQ(split_receiving(stream, 4096, limit), expected) << limit;
  }
}

TEST(FrameSplitter, skips_an_oversize_payload_and_goes_on) {
  const std::string large = request(1, payload_of(1000));
  const std::string after = request(2, "after");
  const Outcome expected{{oversize(1, large.substr(0, 29)), whole(2, after)}};
  for (std::size_t chunk_bytes = 1; chunk_bytes <= large.size() + after.size(); ++chunk_bytes) {
    ASSERT_EQ(split_by(chunk_bytes, large + after, 999), expected) << chunk_bytes;
  }
}

TEST(FrameSplitter, tells_an_oversize_frame_before_its_payload_has_come) {
  const std::string large = request(1, payload_of(101));
  FrameSplitter splitter(100);
  EXPECT_EQ(push(splitter, large.substr(0, 28)), Events{});
  EXPECT_EQ(push(splitter, large.substr(28, 1)), Events{oversize(1, large.substr(0, 29))});
  EXPECT_TRUE(splitter.inside_frame());
  EXPECT_TRUE(splitter.body_space().empty());
  EXPECT_EQ(push(splitter, large.substr(29, 100)), Events{});
  EXPECT_TRUE(splitter.inside_frame());
  EXPECT_EQ(push(splitter, large.substr(129)), Events{});
  EXPECT_FALSE(splitter.inside_frame());
}

TEST(FrameSplitter, gives_an_oversize_frame_no_payload) {
  const std::string large = request(1, payload_of(101));
  FrameSplitter splitter(100);
  splitter.push(large);
  Frame frame;
  frame.payload = "left from before";
  ASSERT_EQ(splitter.next(frame), Item::oversize);
  EXPECT_EQ(frame.name, "upper");
  EXPECT_EQ(frame.header.payload_bytes, 101U);
  EXPECT_EQ(frame.payload, "");
}

// Has no memory for the first payload that is asked for.
class PoorBodySource final : public BodySource {
 public:
  std::string take(std::size_t /*bytes*/) override {
    if (std::exchange(asked_, true)) return {};
    throw std::bad_alloc();
  }

 private:
  bool asked_ = false;
};

TEST(FrameSplitter, goes_on_after_a_payload_that_there_is_no_memory_for) {
  const std::string payload(FrameSplitter::kDirectBytes, 'x');
  const std::string frames = request(1, payload) + request(2, payload) + request(3, "small");
  PoorBodySource bodies;
  FrameSplitter splitter(1 << 20, &bodies);
  splitter.push(frames);
  Frame frame;
  ASSERT_EQ(splitter.next(frame), Item::no_memory);
  EXPECT_EQ(frame.header.id, 1U);
  EXPECT_EQ(frame.name, "upper");
  ASSERT_EQ(splitter.next(frame), Item::frame);
  EXPECT_EQ(frame.header.id, 2U);
  EXPECT_EQ(frame.payload, payload);
  ASSERT_EQ(splitter.next(frame), Item::frame);
  EXPECT_EQ(frame.header.id, 3U);
  EXPECT_EQ(splitter.next(frame), Item::need_more);
  EXPECT_FALSE(splitter.inside_frame());
}

TEST(FrameSplitter, skips_several_oversize_payloads_in_a_row) {
  const std::string small = request(1, "12345");
  const std::string large = request(2, "123456");
  const Event skipped = oversize(2, large.substr(0, 29));
  const Outcome expected{{skipped, skipped, whole(1, small), skipped, whole(1, small)}};
  const std::string stream = large + large + small + large + small;
  EXPECT_EQ(split_whole(stream, 5), expected);
  EXPECT_EQ(split_by(1, stream, 5), expected);
}

TEST(FrameSplitter, a_skipped_payload_that_looks_like_a_frame_is_none) {
  const std::string large = request(1, request(2, "inner"));
  EXPECT_EQ(split_whole(large, 5), Outcome{{oversize(1, large.substr(0, 29))}});
  EXPECT_EQ(split_by(1, large, 5), Outcome{{oversize(1, large.substr(0, 29))}});
}

TEST(FrameSplitter, skips_a_payload_of_4_GiB_less_one_and_goes_on) {
  FrameSplitter splitter(kLimitBytes);
  EXPECT_EQ(push(splitter, claim(1, UINT32_MAX)).size(), 1U);
  const std::string filler(std::size_t{1} << 20U, '\xF6');
  std::uint64_t left_bytes = UINT32_MAX;
  Frame frame;
  for (; left_bytes > filler.size(); left_bytes -= filler.size()) {
    splitter.push(filler);
    ASSERT_EQ(splitter.next(frame), Item::need_more);
    ASSERT_TRUE(splitter.inside_frame());
  }
  const std::string after = request(2, "after");
  EXPECT_EQ(push(splitter, filler.substr(0, left_bytes) + after), Events{whole(2, after)});
}

// --- Memory ----------------------------------------------------------------------------

#if EVPOOL_TEST_COUNTS_ALLOCATIONS
TEST(FrameSplitter, a_claim_of_4_GiB_allocates_nothing) {
  const std::string bytes = claim(1, UINT32_MAX);
  FrameSplitter splitter(kDefaultMaxPayloadBytes);
  Frame frame;
  const AllocationCount allocated;
  splitter.push(bytes);
  const Item item = splitter.next(frame);
  const Item then = splitter.next(frame);
  const bool body_space = !splitter.body_space().empty();
  EXPECT_EQ(allocated.bytes(), 0U);
  EXPECT_EQ(item, Item::oversize);
  EXPECT_EQ(then, Item::need_more);
  EXPECT_FALSE(body_space);
  EXPECT_EQ(frame.header.payload_bytes, UINT32_MAX);
  EXPECT_EQ(frame.payload.capacity(), std::string().capacity());
}

TEST(FrameSplitter, a_claim_of_4_GiB_in_pieces_keeps_only_header_and_name) {
  const std::string bytes = claim(1, UINT32_MAX);
  FrameSplitter splitter(kDefaultMaxPayloadBytes);
  Frame frame;
  const AllocationCount allocated;
  for (const char& byte : bytes) {
    splitter.push({&byte, 1});
    static_cast<void>(splitter.next(frame));
  }
  EXPECT_LT(allocated.bytes(), 256U);
  EXPECT_EQ(frame.header.payload_bytes, UINT32_MAX);
}

// What the count of allocations would show if one were made.
TEST(FrameSplitter, a_claim_within_the_limit_is_reserved_once_and_touched_as_it_comes) {
  const std::string bytes = claim(1, kDefaultMaxPayloadBytes);
  FrameSplitter splitter(kDefaultMaxPayloadBytes);
  Frame frame;
  const AllocationCount allocated;
  splitter.push(bytes);
  const Item item = splitter.next(frame);
  const std::size_t offered_bytes = splitter.body_space().size();
  EXPECT_EQ(item, Item::need_more);
  EXPECT_GE(allocated.bytes(), kDefaultMaxPayloadBytes);
  EXPECT_LT(allocated.bytes(), kDefaultMaxPayloadBytes + 4096U);
  EXPECT_GT(offered_bytes, 0U);
  EXPECT_LE(offered_bytes, std::size_t{1} << 20U);
}

TEST(FrameSplitter, gives_back_what_a_long_frame_made_it_keep) {
  const std::string long_frame = request(1, payload_of(kDirectBytes - 1));
  const std::string short_frame = request(2, "short");
  FrameSplitter splitter(kLimitBytes);
  EXPECT_EQ(push(splitter, long_frame.substr(0, 100)), Events{});
  EXPECT_EQ(push(splitter, long_frame.substr(100)), Events{whole(1, long_frame)});
  // Were the memory still there, a further beginning would need none.
  Frame frame;
  const AllocationCount allocated;
  splitter.push(std::string_view(short_frame).substr(0, 30));
  EXPECT_EQ(splitter.next(frame), Item::need_more);
  EXPECT_GT(allocated.bytes(), 0U);
  EXPECT_LT(allocated.bytes(), 2048U);
}
#endif

// --- What is malformed -----------------------------------------------------------------

TEST(FrameSplitter, tells_a_wrong_first_byte_at_once) {
  for (int byte = 0; byte < 256; ++byte) {
    FrameSplitter splitter(kLimitBytes);
    const Events events = push(splitter, std::string(1, static_cast<char>(byte)));
    if (byte == 0xF6) {
      EXPECT_EQ(events, Events{});
      EXPECT_TRUE(splitter.inside_frame());
    } else {
      EXPECT_EQ(events, Events{malformed(0, FrameError::bad_magic)}) << byte;
      EXPECT_FALSE(splitter.inside_frame());
    }
  }
}

TEST(FrameSplitter, tells_each_wrong_byte_of_the_magic_at_once) {
  const Events bad_magic = {malformed(0, FrameError::bad_magic)};
  for (std::size_t right = 1; right < kFrameMagic.size(); ++right) {
    FrameSplitter splitter(kLimitBytes);
    EXPECT_EQ(push(splitter, kFrameMagic.substr(0, right)), Events{});
    EXPECT_EQ(push(splitter, "?"), bad_magic) << right;
    EXPECT_EQ(split_whole(std::string(kFrameMagic.substr(0, right)) + "?").events, bad_magic);
  }
}

TEST(FrameSplitter, tells_a_wrong_first_byte_after_a_frame_at_once) {
  const std::string good = request(1, "good");
  const Outcome expected{{whole(1, good), malformed(0, FrameError::bad_magic)}};
  EXPECT_EQ(split_whole(good + "x"), expected);
  EXPECT_EQ(split_by(1, good + "x"), expected);
  EXPECT_EQ(split_whole(good + std::string(100, 'x')), expected);
}

TEST(FrameSplitter, tells_a_wrong_first_byte_after_a_large_payload) {
  const std::string good = request(1, payload_of(kDirectBytes));
  const Outcome expected{{whole(1, good), malformed(0, FrameError::bad_magic)}};
  EXPECT_EQ(split_whole(good + "x"), expected);
  EXPECT_EQ(split_receiving(good + "x", 1000), expected);
}

TEST(FrameSplitter, tells_a_wrong_first_byte_after_a_skipped_payload) {
  const std::string large = request(1, "123456");
  const Outcome expected{{oversize(1, large.substr(0, 29)), malformed(0, FrameError::bad_magic)}};
  EXPECT_EQ(split_whole(large + "x", 5), expected);
  EXPECT_EQ(split_by(1, large + "x", 5), expected);
}

TEST(FrameSplitter, tells_a_malformed_headers_error_and_id) {
  constexpr std::uint64_t kId = 0xFEDCBA9876543210;
  struct Defect {
    std::string bytes;
    std::size_t offset;
    char value;
    FrameError error;
  };
  const std::string pong = bare(FrameType::pong, kId);
  const std::vector<Defect> defects = {
      {request(kId, "hello"), 3, 2, FrameError::bad_version},
      {request(kId, "hello"), 3, 0, FrameError::bad_version},
      {request(kId, "hello"), 4, 5, FrameError::bad_type},
      {request(kId, "hello"), 5, 1, FrameError::bad_flags},
      {request(kId, "hello"), 6, 3, FrameError::bad_priority},
      {request(kId, "hello"), 7, 0, FrameError::bad_name},
      {reply(kId, "hello"), 6, 9, FrameError::bad_status},
      {reply(kId, "hello"), 7, 1, FrameError::bad_name},
      {reply(kId, "hello"), 19, 1, FrameError::bad_timeout},
      {pong, 23, 1, FrameError::bad_payload},
  };
  const std::string before = request(1, "before");
  for (const Defect& defect : defects) {
    std::string bytes = defect.bytes;
    bytes[defect.offset] = defect.value;
    const Outcome expected{{whole(1, before), malformed(kId, defect.error)}};
    EXPECT_EQ(split_whole(before + bytes), expected) << explain(defect.error);
    EXPECT_EQ(split_by(1, before + bytes), expected) << explain(defect.error);
    EXPECT_EQ(split_receiving(before + bytes, 7), expected) << explain(defect.error);
  }
}

TEST(FrameSplitter, says_nothing_more_after_malformed) {
  const std::string good = request(1, "good");
  FrameSplitter splitter(kLimitBytes);
  EXPECT_EQ(push(splitter, "x" + good), Events{malformed(0, FrameError::bad_magic)});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(push(splitter, good), Events{});
    EXPECT_EQ(push(splitter, "x"), Events{});
    EXPECT_EQ(push(splitter, claim(1, kDirectBytes)), Events{});
    EXPECT_TRUE(splitter.body_space().empty());
    EXPECT_FALSE(splitter.inside_frame());
    EXPECT_EQ(splitter.error(), FrameError::bad_magic);
  }
}

TEST(FrameSplitter, says_nothing_more_after_a_malformed_header_in_pieces) {
  const std::string good = request(1, "good");
  std::string bad = request(2, "bad");
  bad[5] = 1;
  EXPECT_EQ(split_by(1, bad + good), Outcome{{malformed(2, FrameError::bad_flags)}});
  EXPECT_EQ(split_by(10, bad + good), Outcome{{malformed(2, FrameError::bad_flags)}});
}

// --- Anything --------------------------------------------------------------------------

// The same in a simpler way: with the whole stream at hand.
Outcome expect(std::string_view stream, std::uint32_t limit_bytes) {
  Outcome outcome;
  while (!stream.empty()) {
    Frame frame;
    const FrameError error = decode_header(stream, frame.header);
    if (error == FrameError::truncated) break;
    if (error != FrameError::none) {
      outcome.events.push_back(malformed(frame.header.id, error));
      return outcome;
    }
    const std::size_t named_bytes = kFrameHeaderBytes + frame.header.name_bytes;
    const std::size_t all_bytes = named_bytes + frame.header.payload_bytes;
    if (stream.size() < named_bytes) break;
    if (frame.header.payload_bytes > limit_bytes) {
      outcome.events.push_back(
          oversize(frame.header.id, std::string(stream.substr(0, named_bytes))));
    } else if (stream.size() >= all_bytes) {
      outcome.events.push_back(whole(frame.header.id, std::string(stream.substr(0, all_bytes))));
    }
    if (stream.size() < all_bytes) break;
    stream.remove_prefix(all_bytes);
  }
  outcome.inside_frame = !stream.empty();
  return outcome;
}

class Fuzz {
 public:
  std::size_t below(std::size_t bound) { return random_() % bound; }

  std::string frame(std::size_t largest_payload_bytes) {
    const std::uint64_t id = below(1000);
    switch (below(5)) {
      case 0:
        return reply(id, payload_of(below(largest_payload_bytes + 1)));
      case 1:
        return bare(FrameType::ping, id);
      case 2:
        return bare(FrameType::pong, id);
      default:
        return request(id, payload_of(below(largest_payload_bytes + 1)),
                       std::string(1 + below(20), 'n'));
    }
  }

  // A few frames, of which some are damaged.
  std::string stream(std::size_t largest_payload_bytes) {
    std::string bytes;
    for (std::size_t frames = below(5); frames > 0; --frames) bytes += frame(largest_payload_bytes);
    if (bytes.empty() || below(3) == 0) return bytes;
    for (std::size_t mutations = below(3); mutations > 0; --mutations) {
      const std::size_t at = below(bytes.size());
      switch (below(6)) {
        case 0:
          bytes.erase(at, 1 + below(4));
          break;
        case 1:
          bytes.insert(at, 1 + below(4), static_cast<char>(random_()));
          break;
        case 2:
          bytes.resize(at + 1);
          break;
        default:
          bytes[at] = static_cast<char>(random_());
          break;
      }
    }
    return bytes;
  }

 private:
  std::mt19937 random_{20};  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same cases each time
};

// Three cuts of one stream against what the whole stream holds.
void expect_same_however_cut(Fuzz& fuzz, std::string_view stream, std::uint32_t limit_bytes,
                             std::size_t largest_chunk_bytes) {
  const Outcome expected = expect(stream, limit_bytes);
  ASSERT_EQ(split_whole(stream, limit_bytes), expected);
  const auto next_bytes = [&] { return 1 + fuzz.below(largest_chunk_bytes); };
  ASSERT_EQ(split(stream, limit_bytes, next_bytes), expected);
  ASSERT_EQ(split_receiving(stream, next_bytes(), limit_bytes), expected);
}

TEST(FrameSplitter, gives_the_same_of_any_damaged_stream_however_it_is_cut) {
  Fuzz fuzz;
  constexpr int kCases = 20'000;
  std::map<Item, int> items;
  for (int i = 0; i < kCases; ++i) {
    const std::string stream = fuzz.stream(40);
    const auto limit_bytes = static_cast<std::uint32_t>(fuzz.below(2) == 0 ? fuzz.below(40) : 4000);
    expect_same_however_cut(fuzz, stream, limit_bytes, 60);
    if (HasFatalFailure()) FAIL() << "case " << i;
    for (const Event& event : expect(stream, limit_bytes).events) {
      ++items[event.item];
    }
  }
  // The cases are of all kinds.
  EXPECT_GT(items[Item::frame], kCases / 2);
  EXPECT_GT(items[Item::oversize], kCases / 20);
  EXPECT_GT(items[Item::malformed], kCases / 20);
}

TEST(FrameSplitter, gives_the_same_of_any_damaged_stream_of_large_frames) {
  Fuzz fuzz;
  for (int i = 0; i < 200; ++i) {
    const std::string stream = fuzz.stream(2 * kDirectBytes);
    const auto limit_bytes = static_cast<std::uint32_t>(fuzz.below(3 * kDirectBytes));
    expect_same_however_cut(fuzz, stream, limit_bytes, kDirectBytes);
    if (HasFatalFailure()) FAIL() << "case " << i;
  }
}

TEST(FrameSplitter, tells_any_bytes_that_are_no_frames_as_malformed_once) {
  std::mt19937 random(3);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same cases each time
  for (int i = 0; i < 2'000; ++i) {
    std::string stream(1 + random() % 200, '\0');
    for (char& byte : stream) byte = static_cast<char>(random());
    if (stream.front() == kFrameMagic.front()) continue;
    const Outcome expected{{malformed(0, FrameError::bad_magic)}};
    ASSERT_EQ(split_whole(stream), expected);
    ASSERT_EQ(split_by(1 + random() % 30, stream), expected);
  }
}

}  // namespace
}  // namespace evpool
