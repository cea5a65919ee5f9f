#include "client/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace evpool {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10U;
// Lines from this size on are not copied out of the buffer: they take it with them.
constexpr std::size_t kLargeLineBytes = std::size_t{1} << 20U;

}  // namespace

std::optional<LineReader::Line> LineReader::next() {
  while (!find_end()) {
    if (read_more()) continue;
    if (begin_ == buffer_.size() && passed_over_ == 0) return std::nullopt;
    return take(buffer_.size() - begin_);
  }
  Line line = take(searched_ - begin_);
  searched_ = ++begin_;
  return line;
}

bool LineReader::ready() {
  while (!ended_ && !find_end()) {
    pollfd waiting = {.fd = descriptor_, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, 0) <= 0) return false;
    read_more();
  }
  return true;
}

std::optional<std::string> LineReader::rest() {
  do {
    if (buffer_.size() - begin_ > longest_) return std::nullopt;
  } while (read_more());
  return take(buffer_.size() - begin_).text;
}

// Whether a line ends at searched_. Passes over what is read of a line that is too long.
bool LineReader::find_end() {
  searched_ = std::min(buffer_.find('\n', searched_), buffer_.size());
  if (passed_over_ > 0 || searched_ - begin_ > longest_) {
    passed_over_ += searched_ - begin_;
    begin_ = searched_;
  }
  return searched_ < buffer_.size();
}

// The present line, of which this much is in the buffer.
LineReader::Line LineReader::take(std::size_t bytes) {
  Line line;
  line.bytes = std::exchange(passed_over_, 0) + bytes;
  line.too_long = line.bytes > bytes || bytes > longest_;
  if (!line.too_long && bytes >= kLargeLineBytes && begin_ == 0) {
    std::string after = buffer_.substr(bytes);
    line.text = std::exchange(buffer_, std::move(after));
    line.text.resize(bytes);
    searched_ = 0;
    return line;
  }
  if (!line.too_long) line.text = buffer_.substr(begin_, bytes);
  begin_ += bytes;
  searched_ = begin_;
  return line;
}

bool LineReader::read_more() {
  if (ended_) return false;
  searched_ -= begin_;
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
