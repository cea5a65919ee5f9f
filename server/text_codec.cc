// Lines for people on a TCP connection; docs/protocol.md, "Text lines".
#include "protocol/text.h"

#include <fmt/format.h>

#include "server/refusal.h"
#include "server/stream_codec.h"

namespace evpool {
namespace {

// What no line of text starts with: a control character that is no white space (a TLS handshake
// starts with 0x16), or a byte that UTF-8 never has.
bool starts_text(char first_byte) {
  const auto byte = static_cast<unsigned char>(first_byte);
  const bool white_space = byte == '\t' || byte == '\n' || byte == '\r';
  return white_space || (byte >= ' ' && byte != 0x7F && byte < 0xF5);
}

class TextCodec final : public StreamCodec {
 public:
  void push(std::string_view bytes) override {
    if (!first_byte_seen_ && !bytes.empty()) {
      first_byte_seen_ = true;
      broken_ = !starts_text(bytes.front());
    }
    if (!broken_) lines_.push(bytes);
  }

  void hold_input() override { lines_.hold_input(); }
  void end_of_input() override { lines_.finish(); }
  bool inside_request() const override { return lines_.inside_line(); }
  bool ordered() const override { return true; }

  Item next(Decoded& decoded) override {
    if (broken_) return refuse_bytes(decoded);
    std::string_view line;
    const LineSplitter::Item item = lines_.next(line);
    if (item == LineSplitter::Item::need_more) return Item::need_more;
    decoded.request = {.header = {.id = next_id_++}};
    if (item == LineSplitter::Item::too_long) {
      decoded.refusal = refusal(Status::too_large, [] {
        return fmt::format("the line is longer than {} bytes; send a frame instead",
                           kMaxTextLineBytes);
      });
      return Item::refused;
    }
    if (item == LineSplitter::Item::no_memory) {
      decoded.refusal = refusal(Status::busy, kOutOfMemory);
      return Item::refused;
    }
    const TextRequest request = parse_text_request(line);
    if (request.job.empty()) {
      decoded.refusal = refusal(Status::bad_request, "a line is a job name, a space and a payload");
      return Item::refused;
    }
    decoded.request.name = request.job;
    decoded.request.payload = request.payload;
    return Item::request;
  }

  void encode(std::uint64_t /*id*/, Reply& reply, Replies& replies) const override {
    append_text_head(reply.status, reply.payload, replies.bytes);
    replies.bytes += reply.payload;
    replies.bytes += '\n';
  }

 private:
  Item refuse_bytes(Decoded& decoded) {
    if (refused_) return Item::need_more;
    refused_ = true;
    decoded.request = {.header = {.id = next_id_++}};
    decoded.refusal =
        refusal(Status::bad_request, "neither a frame nor a line of text (TLS is not spoken here)");
    return Item::broken;
  }

  LineSplitter lines_;
  std::uint64_t next_id_ = 0;
  bool first_byte_seen_ = false;
  bool broken_ = false;
  bool refused_ = false;
};

}  // namespace

std::unique_ptr<StreamCodec> make_text_codec() { return std::make_unique<TextCodec>(); }

}  // namespace evpool
