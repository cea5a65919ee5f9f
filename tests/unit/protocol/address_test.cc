#include "protocol/address.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace evpool {
namespace {

// What parse_address says against `text`; empty when it says nothing.
std::string refusal(std::string_view text) {
  try {
    static_cast<void>(parse_address(text));
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

void expect_refused(std::string_view text, std::string_view why) {
  const std::string message = refusal(text);
  EXPECT_NE(message.find(why), std::string::npos) << "'" << text << "' -> '" << message << "'";
}

TEST(Address, takes_an_ipv4_address) {
  EXPECT_EQ(parse_address("127.0.0.1:6666"), (Address{"127.0.0.1", 6666}));
}

TEST(Address, takes_a_host_name) {
  EXPECT_EQ(parse_address("example.net:80"), (Address{"example.net", 80}));
  EXPECT_EQ(parse_address("h:1"), (Address{"h", 1}));
}

TEST(Address, takes_an_ipv6_address_out_of_its_brackets) {
  EXPECT_EQ(parse_address("[::1]:6666"), (Address{"::1", 6666}));
  EXPECT_EQ(parse_address("[::]:0"), (Address{"::", 0}));
  EXPECT_EQ(parse_address("[fe80::1%eth0]:6666"), (Address{"fe80::1%eth0", 6666}));
}

TEST(Address, takes_ports_from_0_to_65535) {
  EXPECT_EQ(parse_address("h:0").port, 0);
  EXPECT_EQ(parse_address("h:1").port, 1);
  EXPECT_EQ(parse_address("h:65534").port, 65534);
  EXPECT_EQ(parse_address("h:65535").port, 65535);
}

TEST(Address, refuses_a_port_over_65535) {
  for (const std::string_view text :
       {"h:65536", "h:100000", "h:4294967296", "[::1]:65536", "h:99999999999999999999999999"}) {
    expect_refused(text, "the port must be a number from 0 to 65535");
  }
}

TEST(Address, refuses_a_port_that_is_no_number) {
  for (const std::string_view text : {"h:", "h:http", "h:80x", "h:x80", "h:-1", "h:+80", "h: 80",
                                      "h:80 ", "h:8 0", "h:0x50", "h:80.0", "[::1]:", "[::1]:x"}) {
    expect_refused(text, "the port must be a number from 0 to 65535");
  }
}

TEST(Address, refuses_what_has_no_port) {
  for (const std::string_view text : {"", "127.0.0.1", "example.net", "6666", "[", "[]"}) {
    expect_refused(text, "the port is missing");
  }
}

TEST(Address, refuses_what_has_no_host) {
  for (const std::string_view text : {":6666", "[]:6666", ":", ":0"}) {
    expect_refused(text, "the host is missing");
  }
}

TEST(Address, refuses_an_ipv6_address_without_brackets) {
  for (const std::string_view text : {"::1:6666", "fe80::1:6666", "2001:db8::1", "::", "::1",
                                      "[::1:6666", "::1]:6666", "a:b:1"}) {
    expect_refused(text, "an IPv6 address needs brackets");
  }
}

TEST(Address, refuses_bytes_after_the_brackets) {
  EXPECT_NE(refusal("[::1]6666"), "");
  EXPECT_NE(refusal("[::1]x:6666"), "");
  EXPECT_NE(refusal("[::1]"), "");
}

TEST(Address, says_what_was_given_and_what_is_expected) {
  EXPECT_EQ(refusal("example.net"),
            "'example.net' is no address: the port is missing (expected HOST:PORT, such as "
            "127.0.0.1:6666 or [::1]:6666)");
}

TEST(Address, is_written_as_it_is_read) {
  for (const std::string_view text :
       {"127.0.0.1:6666", "example.net:0", "[::1]:65535", "[::]:1", "[fe80::1%eth0]:80"}) {
    EXPECT_EQ(to_string(parse_address(text)), text);
  }
}

TEST(Address, is_equal_when_host_and_port_are) {
  EXPECT_EQ((Address{"h", 1}), (Address{"h", 1}));
  EXPECT_NE((Address{"h", 1}), (Address{"h", 2}));
  EXPECT_NE((Address{"h", 1}), (Address{"i", 1}));
}

}  // namespace
}  // namespace evpool
