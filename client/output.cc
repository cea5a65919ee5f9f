#include "client/output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "console/write_fully.h"

namespace evpool {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10U;

}  // namespace

Output::Output(int descriptor) : descriptor_(descriptor), terminal_(isatty(descriptor) == 1) {}

void Output::reply(std::string_view text) {
  if (text.size() >= kBufferBytes) {
    flush();
    ends_.push_back(text.size());
    write_all(text);
    return;
  }
  buffer_ += text;
  ends_.push_back(buffer_.size());
  const bool first = written_replies_ == 0 && ends_.size() == 1;
  if (first || terminal_ || buffer_.size() >= kBufferBytes) flush();
}

void Output::flush() { write_all(buffer_); }

// Writes the bytes, which are those of the replies of ends_.
void Output::write_all(std::string_view bytes) {
  const std::size_t written = write_fully(descriptor_, bytes);
  const int error = written < bytes.size() ? errno : 0;
  written_replies_ += static_cast<std::size_t>(
      std::upper_bound(ends_.begin(), ends_.end(), written) - ends_.begin());
  ends_.clear();
  buffer_.clear();
  if (error != 0) {
    throw OutputError("cannot write to standard output: " + std::generic_category().message(error));
  }
}

}  // namespace evpool
