#include "server/stream_codec.h"

namespace evpool {

std::unique_ptr<StreamCodec> choose_codec(char first_byte, const CodecOptions& options) {
  return first_byte == kFrameMagic.front() ? make_frame_codec(options) : make_text_codec();
}

}  // namespace evpool
