// evpool's own frames on a TCP connection; docs/protocol.md, "Frames on TCP".
#include "protocol/frame.h"

#include <fmt/format.h>

#include <utility>

#include "protocol/frame_splitter.h"
#include "server/refusal.h"
#include "server/stream_codec.h"

namespace evpool {
namespace {

class FrameCodec final : public StreamCodec {
 public:
  explicit FrameCodec(const CodecOptions& options)
      : max_payload_bytes_(options.max_payload_bytes),
        splitter_(options.max_payload_bytes, options.bodies) {}

  std::span<char> body_space() override { return splitter_.body_space(); }
  void body_received(std::size_t bytes) override { splitter_.body_received(bytes); }
  void push(std::string_view bytes) override { splitter_.push(bytes); }
  void hold_input() override { splitter_.hold_input(); }
  std::size_t held_bytes() const override { return splitter_.body_bytes(); }
  bool inside_request() const override { return splitter_.inside_frame(); }
  bool ordered() const override { return false; }

  Item next(Decoded& decoded) override {
    const FrameSplitter::Item item = splitter_.next(decoded.request);
    if (item == FrameSplitter::Item::need_more) return Item::need_more;
    if (item == FrameSplitter::Item::malformed) return broken(decoded, splitter_.error());
    switch (decoded.request.header.type) {
      case FrameType::ping:
        return Item::ping;
      case FrameType::reply:
      case FrameType::pong:
        return broken(decoded, FrameError::bad_type);
      case FrameType::request:
        break;
    }
    if (item == FrameSplitter::Item::oversize) {
      decoded.refusal = refusal(Status::too_large, [&] {
        return fmt::format("the payload is {} bytes, the limit {}",
                           decoded.request.header.payload_bytes, max_payload_bytes_);
      });
      return Item::refused;
    }
    if (item == FrameSplitter::Item::no_memory) {
      decoded.refusal = refusal(Status::busy, [&] {
        return fmt::format("no memory for the payload of {} bytes",
                           decoded.request.header.payload_bytes);
      });
      return Item::refused;
    }
    return Item::request;
  }

  void encode(std::uint64_t id, Reply& reply, Replies& replies) const override {
    if (reply.payload.size() > UINT32_MAX) {
      reply = refusal(Status::too_large, [&] {
        return fmt::format("the reply of {} bytes does not fit a frame", reply.payload.size());
      });
    }
    append_reply_header(id, reply.status, static_cast<std::uint32_t>(reply.payload.size()),
                        replies.bytes);
    replies.append_payload(std::move(reply.payload));
  }

 private:
  static Item broken(Decoded& decoded, FrameError error) {
    decoded.refusal = refusal(Status::bad_request, explain(error));
    return Item::broken;
  }

  const std::uint32_t max_payload_bytes_;
  FrameSplitter splitter_;
};

}  // namespace

std::unique_ptr<StreamCodec> make_frame_codec(const CodecOptions& options) {
  return std::make_unique<FrameCodec>(options);
}

}  // namespace evpool
