#include "console/printable.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace evpool {
namespace {

struct Character {
  std::uint32_t code_point = 0;
  std::size_t bytes = 0;  // 0: not UTF-8
};

// How many bytes a character has that begins with `lead`, by Unicode's table 3-6; 0 for a byte that
// begins none.
std::size_t length_of(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) return 2;
  if (lead >= 0xE0 && lead < 0xF0) return 3;
  if (lead >= 0xF0 && lead < 0xF5) return 4;
  return 0;
}

// The first character of `bytes`, which is not empty.
Character first_character(std::string_view bytes) {
  const auto lead = static_cast<unsigned char>(bytes.front());
  const std::size_t length = length_of(lead);
  if (length == 0 || length > bytes.size()) return {};
  constexpr std::array<unsigned char, 5> kLeadBits = {0, 0x7F, 0x1F, 0x0F, 0x07};
  std::uint32_t code_point = lead & kLeadBits[length];
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(bytes[i]);
    if ((next & 0xC0U) != 0x80) return {};
    code_point = code_point << 6U | (next & 0x3FU);
  }
  // A shorter form exists, a surrogate, or beyond Unicode: not UTF-8.
  constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
  if (code_point < kLeast[length] || surrogate || code_point > 0x10FFFF) return {};
  return {.code_point = code_point, .bytes = length};
}

bool is_control(std::uint32_t code_point) {
  const bool ascii = code_point < 0x20 || code_point == 0x7F;
  const bool c1 = code_point >= 0x80 && code_point < 0xA0;
  const bool line_break = code_point == 0x2028 || code_point == 0x2029;
  // The embeddings, overrides and isolates of the Unicode bidirectional algorithm, and its marks.
  const bool direction = code_point == 0x200E || code_point == 0x200F || code_point == 0x061C ||
                         (code_point >= 0x202A && code_point <= 0x202E) ||
                         (code_point >= 0x2066 && code_point <= 0x2069);
  return ascii || c1 || line_break || direction;
}

void append_hex(std::uint32_t value, int digits, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
    out += kDigits[value >> static_cast<unsigned>(shift) & 0xFU];
  }
}

void append_escape(std::uint32_t code_point, std::string& out) {
  if (code_point == '\n') {
    out += "\\n";
  } else if (code_point == '\r') {
    out += "\\r";
  } else if (code_point == '\t') {
    out += "\\t";
  } else if (code_point < 0x80) {
    out += "\\x";
    append_hex(code_point, 2, out);
  } else {
    out += "\\u";
    append_hex(code_point, 4, out);
  }
}

std::string escape(std::string_view bytes, bool keep_lines) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Character character = first_character(bytes);
    if (character.bytes == 0) {
      text += "\\x";
      append_hex(static_cast<unsigned char>(bytes.front()), 2, text);
      bytes.remove_prefix(1);
      continue;
    }
    const bool kept = keep_lines && (character.code_point == '\n' || character.code_point == '\t');
    if (is_control(character.code_point) && !kept) {
      append_escape(character.code_point, text);
    } else {
      text += bytes.substr(0, character.bytes);
    }
    bytes.remove_prefix(character.bytes);
  }
  return text;
}

}  // namespace

std::string printable(std::string_view bytes) { return escape(bytes, false); }

std::string printable_lines(std::string_view bytes) { return escape(bytes, true); }

std::string printable_json(std::string_view json) {
  std::string text;
  text.reserve(json.size());
  while (!json.empty()) {
    const Character character = first_character(json);
    const std::size_t bytes = character.bytes == 0 ? 1 : character.bytes;
    if (character.bytes != 0 && is_control(character.code_point)) {
      text += "\\u";
      append_hex(character.code_point, 4, text);  // all of them are below U+10000
    } else {
      text += json.substr(0, bytes);
    }
    json.remove_prefix(bytes);
  }
  return text;
}

}  // namespace evpool
