// A name with two addresses, over UDP, where connecting to the wrong one looks like success.
#include "bench/load/answering_address.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>

#include "bench/load_session.h"
#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/load_testing.h"

namespace {

// Looks up in digits, as the C library does it.
int look_up(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
  static const auto real =
      reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(host, service, hints, found);
}

}  // namespace

// Stands before the C library's, and knows two names more. Nobody listens at 127.0.0.2.
extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  const bool two = std::strcmp(host, "two.example") == 0;
  const bool none = std::strcmp(host, "none.example") == 0;
  if (!two && !none) return look_up(host, service, hints, found);
  addrinfo* second = nullptr;
  if (look_up("127.0.0.2", service, hints, found) != 0 ||
      look_up(two ? "127.0.0.1" : "127.0.0.3", service, hints, &second) != 0) {
    return EAI_FAIL;
  }
  (*found)->ai_next = second;
  return 0;
}

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

TEST(AnsweringAddress, is_the_second_when_the_first_refuses) {
  AnsweringServer server(true, honest);
  const Address name{"two.example", server.address().port};
  EXPECT_EQ(answering_address(name, *make_frame_dialect(), kNeverLate), server.address());
}

TEST(AnsweringAddress, an_address_in_digits_is_not_asked) {
  const Address address{"127.0.0.2", 1};
  EXPECT_EQ(answering_address(address, *make_frame_dialect(), kNeverLate), address);
}

TEST(AnsweringAddress, says_when_all_refuse) {
  try {
    static_cast<void>(answering_address({"none.example", 1}, *make_frame_dialect(), kNeverLate));
    ADD_FAILURE();
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()).find("nobody listens at udp none.example:1, "), 0U)
        << error.what();
  }
}

TEST(AnsweringAddress, a_run_goes_there_and_counts_nothing_more) {
  AnsweringServer server(true, honest);
  LoadOptions options = all_measured({"two.example", server.address().port}, Transport::udp);
  options.connections = options.threads = 2;
  options.duration = kNeverLate;
  options.count = 20;
  const LoadResult result = run_load(options);
  server.stop();
  expect_balance(result);
  EXPECT_EQ(result.account.ok, 20U);
  EXPECT_EQ(server.requests(), 20U);
  EXPECT_EQ(result.options.server.host, "two.example") << "the report names what was asked for";
}

TEST(AnsweringAddress, the_statistics_are_asked_for_there_too) {
  AnsweringServer server(true, [](const Frame& request) {
    return request.name == "stats" ? Answer{.payload = "received 5\n"} : honest(request);
  });
  LoadOptions options = all_measured({"two.example", server.address().port}, Transport::udp);
  options.duration = kNeverLate;
  options.count = 20;
  LoadSession session(false);
  const LoadResult result = session.run(options);
  server.stop();
  EXPECT_EQ(result.account.ok, 20U);
  EXPECT_FALSE(result.server.empty());
  EXPECT_EQ(server.requests(), 22U);
  EXPECT_EQ(result.options.server.host, "two.example");
}

}  // namespace
}  // namespace evpool::bench
