#include "protocol/text.h"

#include <algorithm>
#include <cassert>
#include <new>
#include <utility>

namespace evpool {

TextRequest parse_text_request(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return {.job = line, .payload = {}};
  return {.job = line.substr(0, space), .payload = line.substr(space + 1)};
}

void append_text_head(Status status, std::string& payload, std::string& out) {
  if (status == Status::ok) return;
  std::replace_if(
      payload.begin(), payload.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  out += "ERR ";
  out += name_of(status);
  if (!payload.empty()) out += ' ';
}

void LineSplitter::push(std::string_view bytes) {
  assert(input_.empty());
  if (!held_input_.empty()) std::string().swap(held_input_);
  input_ = bytes;
}

void LineSplitter::hold_input() {
  if (input_.empty() || !held_input_.empty()) return;  // or it is held already
  held_input_ = input_;
  input_ = held_input_;
}

void LineSplitter::finish() { finished_ = true; }

LineSplitter::Item LineSplitter::next(std::string_view& line) {
  if (input_.empty() && !held_input_.empty()) std::string().swap(held_input_);
  for (;;) {
    skip_empty_lines();
    const Item item = next_raw(line);
    if (item == Item::line) {
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.empty()) continue;
    }
    return item;
  }
}

// A whole buffer of them is passed over in the time of a few requests.
void LineSplitter::skip_empty_lines() {
  if (skipping_ || !kept_.empty()) return;
  for (;;) {
    if (input_.starts_with('\n')) {
      input_.remove_prefix(1);
    } else if (input_.starts_with("\r\n")) {
      input_.remove_prefix(2);
    } else {
      return;
    }
  }
}

LineSplitter::Item LineSplitter::next_raw(std::string_view& line) {
  std::size_t end = input_.find('\n');
  if (skipping_) {
    if (end == std::string_view::npos) {
      input_ = {};
      return Item::need_more;
    }
    input_.remove_prefix(end + 1);
    skipping_ = false;
    end = input_.find('\n');
  }

  const bool whole = end != std::string_view::npos;
  const std::string_view piece = input_.substr(0, end);
  if (kept_.size() + piece.size() > kMaxTextLineBytes) {
    input_.remove_prefix(whole ? end + 1 : input_.size());
    kept_.clear();
    skipping_ = !whole;
    return Item::too_long;
  }
  input_.remove_prefix(whole ? end + 1 : input_.size());
  if (!whole && !finished_) {
    if (keep(piece)) return Item::need_more;
    skipping_ = true;
    return Item::no_memory;
  }
  if (!whole && piece.empty() && kept_.empty()) return Item::need_more;
  if (kept_.empty()) {
    line = piece;
    return Item::line;
  }
  if (!keep(piece)) return Item::no_memory;
  line_ = std::exchange(kept_, {});
  line = line_;
  return Item::line;
}

// False, and nothing is kept: there is no memory.
bool LineSplitter::keep(std::string_view piece) noexcept {
  try {
    kept_.append(piece);
    return true;
  } catch (const std::bad_alloc&) {
    kept_.clear();
    return false;
  }
}

}  // namespace evpool
