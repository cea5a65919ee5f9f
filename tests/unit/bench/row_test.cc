// A row's name says what is measured, and a name that says nothing is refused.
#include "bench/row.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace evpool::bench {
namespace {

TEST(Row, has_a_shape_and_32_bytes) {
  const Row row = parse_row("tcp-50x16");
  EXPECT_EQ(row.name, "tcp-50x16");
  EXPECT_EQ(row.transport, Transport::tcp);
  EXPECT_EQ(row.connections, 50U);
  EXPECT_EQ(row.in_flight, 16U);
  EXPECT_EQ(row.payload_bytes, 32U);
  EXPECT_FALSE(row.offload);
  EXPECT_EQ(row.bytes_in_flight(), 50U * 16 * 32);
}

TEST(Row, may_say_a_size) {
  EXPECT_EQ(parse_row("udp-1x64-1024").payload_bytes, 1'024U);
  EXPECT_EQ(parse_row("tcp-1x1-64K").payload_bytes, 65'536U);
  EXPECT_EQ(parse_row("tcp-1x1-64M").payload_bytes, 67'108'864U);
}

TEST(Row, may_have_offload_with_a_size_and_without) {
  EXPECT_TRUE(parse_row("udp-1x256-offload").offload);
  EXPECT_EQ(parse_row("udp-1x256-offload").payload_bytes, 32U);
  EXPECT_TRUE(parse_row("udp-1x256-1K-offload").offload);
  EXPECT_EQ(parse_row("udp-1x256-1K-offload").payload_bytes, 1'024U);
}

TEST(Row, refuses_what_is_none) {
  for (const char* const text : {"",
                                 "tcp",
                                 "tcp-",
                                 "50x16",
                                 "sctp-1x1",
                                 "tcp-0x1",
                                 "tcp-1x0",
                                 "tcp-1x1x1",
                                 "tcp-1x1-",
                                 "tcp-1x1-0",
                                 "tcp-1x1-K",
                                 "tcp-1x1-1G",
                                 "tcp-1x1-1MM",
                                 "tcp-1x1-65M",
                                 "tcp-1x1 ",
                                 "tcp-1x1-99999999999999999999",
                                 "tcp-1x1-99999999999M",
                                 "udp-1x1-64K",
                                 "tcp-1x1-offload",
                                 "udp-1x1-offload-32",
                                 "udp-1x1-offload-offload"}) {
    EXPECT_THROW(static_cast<void>(parse_row(text)), std::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace evpool::bench
