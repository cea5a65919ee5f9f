// No framing: each chunk, as it arrives, is a payload for the default job; docs/protocol.md, "Raw".
#include <utility>

#include "protocol/text.h"
#include "server/stream_codec.h"

namespace evpool {
namespace {

class RawCodec final : public StreamCodec {
 public:
  explicit RawCodec(const CodecOptions& options) : default_job_(options.default_job) {}

  void push(std::string_view bytes) override { chunk_ = bytes; }
  // The first next() after a push uses all of it.
  void hold_input() override {}
  bool inside_request() const override { return false; }
  bool ordered() const override { return true; }

  Item next(Decoded& decoded) override {
    if (chunk_.empty()) return Item::need_more;
    decoded.request = {.header = {.id = next_id_++}};
    decoded.request.name = default_job_;
    decoded.request.payload = std::exchange(chunk_, {});
    return Item::request;
  }

  void encode(std::uint64_t /*id*/, Reply& reply, Replies& replies) const override {
    append_text_head(reply.status, reply.payload, replies.bytes);
    replies.bytes += reply.payload;
  }

 private:
  const std::string default_job_;
  std::string_view chunk_;
  std::uint64_t next_id_ = 0;
};

}  // namespace

std::unique_ptr<StreamCodec> make_raw_codec(const CodecOptions& options) {
  return std::make_unique<RawCodec>(options);
}

}  // namespace evpool
