#include "client/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace evpool {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10U;

}  // namespace

std::optional<std::string> LineReader::next() {
  std::size_t searched = begin_;
  for (;;) {
    const std::size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(begin_, end - begin_);
      begin_ = end + 1;
      return line;
    }
    const std::size_t kept = buffer_.size() - begin_;
    if (!read_more()) break;
    searched = begin_ + kept;
  }
  if (begin_ == buffer_.size()) return std::nullopt;
  return buffer_.substr(std::exchange(begin_, buffer_.size()));
}

bool LineReader::ready() {
  for (;;) {
    if (ended_ || buffer_.find('\n', begin_) != std::string::npos) return true;
    pollfd waiting = {.fd = descriptor_, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, 0) <= 0) return false;
    read_more();
  }
}

std::string LineReader::rest() {
  while (read_more()) {
  }
  return buffer_.substr(std::exchange(begin_, buffer_.size()));
}

bool LineReader::read_more() {
  if (ended_) return false;
  buffer_.erase(0, std::exchange(begin_, 0));
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kReadBytes);
  ssize_t got = 0;
  do {
    got = read(descriptor_, &buffer_[before], kReadBytes);
  } while (got < 0 && errno == EINTR);
  const int error = errno;
  buffer_.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
  if (got < 0) throw std::system_error(error, std::generic_category(), "cannot read the input");
  ended_ = got == 0;
  return got > 0;
}

}  // namespace evpool
