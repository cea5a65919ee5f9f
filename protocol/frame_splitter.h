// Cuts a stream of bytes, arriving in any pieces, into frames.
//
// Used by one thread at a time. The caller receives into a buffer of its own and hands the bytes
// over with push(); only the incomplete tail of a frame is kept here. A large payload can be
// received straight into its final place: while body_space() is not empty, receive there instead.
//
// Bounded: what is kept is at most one header and name plus kDirectBytes, or one payload of at most
// the limit given; and, after hold_input(), what was pushed last. The memory of a payload is
// reserved once its length has been checked, and is touched only as its bytes arrive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "frame.h"

namespace evpool {

// Where the memory of large payloads comes from.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // An empty string with a capacity of at least `bytes`. Throws std::bad_alloc.
  [[nodiscard]] virtual std::string take(std::size_t bytes) = 0;
};

class FrameSplitter {
 public:
  enum class Item : std::uint8_t {
    need_more,  // everything pushed has been consumed
    frame,      // `frame` holds the next one
    oversize,   // `frame` holds header and name; the payload will be skipped; the stream goes on
    no_memory,  // likewise, for want of memory for a payload within the limit, however small
    malformed,  // see error(); frame.header.id as in decode_header; the stream is over
  };

  // `bodies`, if given, must outlive this.
  explicit FrameSplitter(std::uint32_t max_payload_bytes, BodySource* bodies = nullptr)
      : max_payload_bytes_(max_payload_bytes), bodies_(bodies) {}

  // Where to receive next while a large payload is under way; otherwise empty.
  [[nodiscard]] std::span<char> body_space();
  // REQUIRES: `bytes` no more than body_space() offered.
  void body_received(std::size_t bytes);

  // REQUIRES: the previous bytes are consumed; `bytes` stays valid until next() says need_more or
  // hold_input() is called.
  void push(std::string_view bytes);
  // Copies what next() has not consumed yet, so that the memory it was pushed from may be used
  // again.
  void hold_input();

  // Call until it says need_more. The view is good until the next call of this or of push().
  [[nodiscard]] Item next(FrameView& frame);
  // The same, copied.
  [[nodiscard]] Item next(Frame& frame);

  [[nodiscard]] FrameError error() const { return error_; }
  // Whether a frame has begun and not ended. REQUIRES: next() has just said need_more.
  [[nodiscard]] bool inside_frame() const { return in_body_ || skip_bytes_ > 0 || !kept_.empty(); }

  // How much has been received of a large payload that is under way.
  [[nodiscard]] std::size_t body_bytes() const { return in_body_ ? body_bytes_ : 0; }

  // Payloads from this size on are received into their final place: large enough that one more
  // system call costs less than the copy it saves.
  static constexpr std::size_t kDirectBytes = std::size_t{16} << 10U;

 private:
  Item next_header(FrameView& frame);
  void release_used();
  [[nodiscard]] bool begin_body(const FrameView& frame);
  [[nodiscard]] bool fill_body();
  void grow_body();
  [[nodiscard]] bool can_keep(std::size_t bytes) noexcept;
  [[nodiscard]] std::string_view gather(std::size_t bytes);
  void consume(std::size_t bytes);
  [[nodiscard]] Item fail(FrameError error);

  const std::uint32_t max_payload_bytes_;
  BodySource* const bodies_;
  std::string_view input_;      // pushed and not yet consumed
  std::string held_input_;      // where input_ is after hold_input()
  std::string kept_;            // the beginning of a frame that comes before input_
  Frame body_frame_;            // while in_body_: the frame whose payload is being received
  std::size_t body_bytes_ = 0;  // received so far; body_frame_.payload may be larger
  bool in_body_ = false;
  // What the last view refers to, and so can go only now.
  bool given_kept_ = false;
  bool given_body_ = false;
  bool to_release_ = false;       // one of them, or held_input_ is not empty
  std::uint32_t skip_bytes_ = 0;  // of an oversize payload
  FrameError error_ = FrameError::none;
};

}  // namespace evpool
