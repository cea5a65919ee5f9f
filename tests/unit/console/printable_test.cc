#include "console/printable.h"

#include <gtest/gtest.h>

#include <string>

namespace evpool {
namespace {

TEST(printable, leaves_text_as_it_is) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("no job 'x' \\ ~"), "no job 'x' \\ ~");
  EXPECT_EQ(printable("gr\u00fc\u00df \u20ac \U0001F600"), "gr\u00fc\u00df \u20ac \U0001F600");
}

TEST(printable, escapes_control_characters) {
  EXPECT_EQ(printable("a\nb\rc\td"), "a\\nb\\rc\\td");
  EXPECT_EQ(printable("\x1b[31mred"), "\\x1b[31mred");
  EXPECT_EQ(printable(std::string("\0\x7f", 2)), "\\x00\\x7f");
}

TEST(printable, escapes_c1_controls_in_utf8_and_as_bare_bytes) {
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\u009b31m");
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "\\x9b31m");
}

TEST(printable, escapes_what_breaks_lines_or_reverses_text) {
  EXPECT_EQ(printable("a\u2028b\u202ec\u2066d"), "a\\u2028b\\u202ec\\u2066d");
}

TEST(printable, escapes_each_byte_that_is_not_utf8) {
  EXPECT_EQ(printable("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");                    // an overlong slash
  EXPECT_EQ(printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");           // likewise
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond Unicode
  EXPECT_EQ(printable("a\xe2\x82"), "a\\xe2\\x82");                  // cut short
  EXPECT_EQ(printable("\xe2\x1b["), "\\xe2\\x1b[");                  // a control inside
}

TEST(printable_lines, keeps_lines_and_tabs_alone) {
  EXPECT_EQ(printable_lines("a\n\tb\r\x1b"), "a\n\tb\\r\\x1b");
}

TEST(Printable, json_keeps_its_value_and_loses_what_a_terminal_obeys) {
  EXPECT_EQ(printable_json("{\"a\":\"\x7f \xc2\x9b \xe2\x80\xae \xd8\x9c \\n \xc3\xa4\"}"),
            "{\"a\":\"\\u007f \\u009b \\u202e \\u061c \\n \xc3\xa4\"}");
}

}  // namespace
}  // namespace evpool
