#include "protocol/frame_splitter.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

namespace evpool {
namespace {

// A body grows by this much at a time, so that the zeroes std::string writes are still in the cache
// when the received bytes overwrite them.
constexpr std::size_t kBodyStepBytes = std::size_t{256} << 10U;
// An idle stream gives back what a long frame made it keep.
constexpr std::size_t kKeepCapacityBytes = 1024;

}  // namespace

std::span<char> FrameSplitter::body_space() {
  if (!in_body_ || body_bytes_ == body_frame_.header.payload_bytes) return {};
  grow_body();
  return std::span(body_frame_.payload).subspan(body_bytes_);
}

void FrameSplitter::body_received(std::size_t bytes) {
  assert(in_body_ && body_bytes_ + bytes <= body_frame_.payload.size());
  body_bytes_ += bytes;
}

void FrameSplitter::push(std::string_view bytes) {
  assert(input_.empty());
  if (!held_input_.empty()) std::string().swap(held_input_);
  input_ = bytes;
}

void FrameSplitter::hold_input() {
  if (input_.empty() || !held_input_.empty()) return;  // or it is held already
  held_input_ = input_;
  input_ = held_input_;
  to_release_ = true;
}

FrameSplitter::Item FrameSplitter::next(Frame& frame) {
  FrameView view;
  const Item item = next(view);
  if (item == Item::need_more) return item;
  frame.header = view.header;
  frame.name.assign(view.name);
  if (view.body != nullptr) {
    frame.payload = std::move(*view.body);
  } else {
    frame.payload.assign(view.payload);
  }
  return item;
}

FrameSplitter::Item FrameSplitter::next(FrameView& frame) {
  if (to_release_) release_used();
  if (error_ != FrameError::none) {
    input_ = {};
    return Item::need_more;
  }
  if (skip_bytes_ > 0) {
    const std::size_t skipped = std::min<std::size_t>(skip_bytes_, input_.size());
    input_.remove_prefix(skipped);
    skip_bytes_ -= static_cast<std::uint32_t>(skipped);
    if (skip_bytes_ > 0) return Item::need_more;
  }
  if (!in_body_) return next_header(frame);
  if (!fill_body()) return Item::need_more;
  in_body_ = false;
  given_body_ = true;
  to_release_ = true;
  frame = {.header = body_frame_.header,
           .name = body_frame_.name,
           .payload = body_frame_.payload,
           .body = &body_frame_.payload};
  return Item::frame;
}

// Frees what only the last view referred to, and held input of which all has been used.
void FrameSplitter::release_used() {
  if (std::exchange(given_kept_, false)) {
    kept_.clear();
    if (kept_.capacity() > kKeepCapacityBytes) kept_.shrink_to_fit();
  }
  if (std::exchange(given_body_, false)) body_frame_ = {};
  if (input_.empty()) std::string().swap(held_input_);
  to_release_ = !held_input_.empty();
}

FrameSplitter::Item FrameSplitter::next_header(FrameView& frame) {
  const std::string_view head = gather(kFrameHeaderBytes);
  if (head.empty()) {
    // A wrong first byte is told at once, not after 24 of them.
    return decode_header(kept_, frame.header) == FrameError::bad_magic ? fail(FrameError::bad_magic)
                                                                       : Item::need_more;
  }
  if (const FrameError error = decode_header(head, frame.header); error != FrameError::none) {
    return fail(error);
  }
  const std::size_t payload_bytes = frame.header.payload_bytes;
  const std::size_t named_bytes = kFrameHeaderBytes + frame.header.name_bytes;
  const bool small = payload_bytes < kDirectBytes && payload_bytes <= max_payload_bytes_;
  const bool at_hand = kept_.empty() && input_.size() >= named_bytes + payload_bytes;
  const bool whole = small && (at_hand || can_keep(named_bytes + payload_bytes));
  const std::size_t wanted_bytes = whole ? named_bytes + payload_bytes : named_bytes;
  const std::string_view bytes = gather(wanted_bytes);
  if (bytes.empty()) return Item::need_more;

  frame.name = bytes.substr(kFrameHeaderBytes, frame.header.name_bytes);
  frame.payload = bytes.substr(named_bytes);
  frame.body = nullptr;
  consume(wanted_bytes);
  if (whole) return Item::frame;
  if (payload_bytes > max_payload_bytes_) {
    skip_bytes_ = frame.header.payload_bytes;
    return Item::oversize;
  }
  if (small || !begin_body(frame)) {
    skip_bytes_ = frame.header.payload_bytes;
    return Item::no_memory;
  }
  return next(frame);
}

// Announcing much is cheap, so that there may be no memory for it must not be the end of all.
bool FrameSplitter::begin_body(const FrameView& frame) {
  const std::size_t payload_bytes = frame.header.payload_bytes;
  try {
    if (bodies_ != nullptr) body_frame_.payload = bodies_->take(payload_bytes);
    body_frame_.payload.reserve(payload_bytes);
    body_frame_.name = frame.name;
  } catch (const std::bad_alloc&) {
    return false;
  }
  body_frame_.header = frame.header;
  body_bytes_ = 0;
  in_body_ = true;
  return true;
}

// Takes what has been pushed; true when the payload is whole.
bool FrameSplitter::fill_body() {
  const std::size_t payload_bytes = body_frame_.header.payload_bytes;
  while (!input_.empty() && body_bytes_ < payload_bytes) {
    grow_body();
    const std::size_t taken = std::min(input_.size(), body_frame_.payload.size() - body_bytes_);
    std::memcpy(&body_frame_.payload[body_bytes_], input_.data(), taken);
    body_bytes_ += taken;
    input_.remove_prefix(taken);
  }
  return body_bytes_ == payload_bytes;
}

// Makes room for at least one more byte. REQUIRES: the body is not complete.
void FrameSplitter::grow_body() {
  if (body_bytes_ < body_frame_.payload.size()) return;
  const std::size_t payload_bytes = body_frame_.header.payload_bytes;
  body_frame_.payload.resize(std::min(payload_bytes, body_bytes_ + kBodyStepBytes));
}

// Whether there is memory for keeping so many bytes.
bool FrameSplitter::can_keep(std::size_t bytes) noexcept {
  try {
    kept_.reserve(bytes);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// The next `bytes` bytes, whether kept or just pushed; empty, and all input kept, when there are
// not so many yet.
std::string_view FrameSplitter::gather(std::size_t bytes) {
  if (kept_.empty() && input_.size() >= bytes) return input_.substr(0, bytes);
  if (kept_.size() < bytes) {
    const std::size_t taken = std::min(bytes - kept_.size(), input_.size());
    kept_.append(input_.substr(0, taken));
    input_.remove_prefix(taken);
  }
  return kept_.size() >= bytes ? std::string_view(kept_).substr(0, bytes) : std::string_view{};
}

// REQUIRES: gather(bytes) has just returned them.
void FrameSplitter::consume(std::size_t bytes) {
  if (kept_.empty()) {
    input_.remove_prefix(bytes);
  } else {
    assert(kept_.size() == bytes);
    given_kept_ = true;
    to_release_ = true;
  }
}

FrameSplitter::Item FrameSplitter::fail(FrameError error) {
  error_ = error;
  input_ = {};
  kept_.clear();
  return Item::malformed;
}

}  // namespace evpool
