// One way of talking on a TCP connection: bytes in, requests out; replies in, bytes out. A further
// protocol is a further implementation of this and a line in choose_codec().
//
// The decoding half is the loop thread's and keeps the connection's state; encode() is const and
// may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "protocol/frame.h"
#include "protocol/frame_splitter.h"
#include "server/replies.h"
#include "server/request.h"

namespace evpool {

struct Decoded {
  FrameView request;  // good until the codec's next call; an ordered stream's ids are the requests'
                      // places in it
  Reply refusal;      // of Item::refused and Item::broken
};

class StreamCodec {
 public:
  enum class Item : std::uint8_t {
    need_more,  // everything pushed has been consumed
    request,
    ping,     // wants a pong
    refused,  // answer the request with `refusal`; the stream goes on
    broken,   // likewise, and then close: what follows can't be told
  };

  StreamCodec() = default;
  StreamCodec(const StreamCodec&) = delete;
  StreamCodec& operator=(const StreamCodec&) = delete;
  virtual ~StreamCodec() = default;

  // Where to receive next while a large payload is under way; otherwise empty, and push() takes
  // what was received elsewhere.
  [[nodiscard]] virtual std::span<char> body_space() { return {}; }
  virtual void body_received(std::size_t) {}
  // `bytes` must stay valid until next() says need_more or hold_input() is called.
  virtual void push(std::string_view bytes) = 0;
  // Copies what next() has not used yet, so that the pushed memory may be used again.
  virtual void hold_input() = 0;
  // The peer has sent its last byte; next() may still have a request.
  virtual void end_of_input() {}
  [[nodiscard]] virtual Item next(Decoded& decoded) = 0;
  // How much memory a request that has begun holds.
  [[nodiscard]] virtual std::size_t held_bytes() const { return 0; }
  // Whether a request has begun and not ended.
  [[nodiscard]] virtual bool inside_request() const = 0;

  // Whether replies must leave in the order of the requests, their ids being 0, 1, 2, ...
  [[nodiscard]] virtual bool ordered() const = 0;
  // Appends the answer, without its mark. What this protocol cannot carry is replaced by too_large;
  // reply.status says in the end what was appended. The payload may be moved from. Throws
  // std::bad_alloc.
  virtual void encode(std::uint64_t id, Reply& reply, Replies& replies) const = 0;
};

// What all codecs of a server have in common.
struct CodecOptions {
  std::uint32_t max_payload_bytes = kDefaultMaxPayloadBytes;
  std::string default_job;
  BodySource* bodies = nullptr;  // outlives the codecs
};

[[nodiscard]] std::unique_ptr<StreamCodec> make_frame_codec(const CodecOptions& options);
[[nodiscard]] std::unique_ptr<StreamCodec> make_text_codec();
[[nodiscard]] std::unique_ptr<StreamCodec> make_raw_codec(const CodecOptions& options);

// By the first byte of a connection.
[[nodiscard]] std::unique_ptr<StreamCodec> choose_codec(char first_byte,
                                                        const CodecOptions& options);

}  // namespace evpool
