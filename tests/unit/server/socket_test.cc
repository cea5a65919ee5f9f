#include "server/socket.h"

#include <gtest/gtest.h>
#include <netdb.h>

#include <fstream>
#include <set>
#include <stdexcept>
#include <string>

// The tests' own version stands before the real one: the host two.test has ::1 and 127.0.0.1, the
// latter twice, as an /etc/hosts may say.
extern "C" {
int __real_getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                       addrinfo** found);
int __wrap_getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                       addrinfo** found) {
  if (std::string(host) != "two.test") return __real_getaddrinfo(host, service, hints, found);
  addrinfo** end = found;
  for (const char* address : {"::1", "127.0.0.1", "127.0.0.1"}) {
    if (__real_getaddrinfo(address, service, hints, end) != 0) return EAI_FAIL;
    while (*end != nullptr) end = &(*end)->ai_next;
  }
  return 0;
}
}

namespace evpool {
namespace {

class BindSockets : public testing::TestWithParam<Transport> {};

TEST_P(BindSockets, listens_on_every_address_of_a_name_on_one_port) {
  const std::vector<Descriptor> sockets = bind_sockets("test", {"two.test", 0}, GetParam());
  std::set<std::string> hosts;
  std::set<std::uint16_t> ports;
  for (const Descriptor& socket : sockets) {
    const Address address = local_address(socket);
    hosts.insert(address.host);
    ports.insert(address.port);
  }
  EXPECT_EQ(hosts, (std::set<std::string>{"::1", "127.0.0.1"}));
  EXPECT_EQ(sockets.size(), 2U) << "each once";
  EXPECT_EQ(ports.size(), 1U);
  EXPECT_FALSE(ports.contains(0));
}

TEST_P(BindSockets, says_which_address_is_taken) {
  const std::vector<Descriptor> first = bind_sockets("test", {"127.0.0.1", 0}, GetParam());
  const Address taken = local_address(first.front());
  try {
    static_cast<void>(bind_sockets("test", {"two.test", taken.port}, GetParam()));
    FAIL() << "it was bound";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("address already in use"), std::string::npos)
        << error.what();
  }
}

TEST_P(BindSockets, says_that_no_address_of_the_name_is_here) {
  EXPECT_THROW(static_cast<void>(bind_sockets("test", {"192.0.2.1", 0}, GetParam())),
               std::runtime_error);
}

INSTANTIATE_TEST_SUITE_P(transports, BindSockets, testing::Values(Transport::tcp, Transport::udp));

// The first link-local address of this machine, as "fe80::1%eth0"; empty without one.
std::string link_local_address() {
  std::ifstream interfaces("/proc/net/if_inet6");
  std::string digits;
  std::string index;
  std::string prefix;
  std::string scope;
  std::string flags;
  std::string name;
  while (interfaces >> digits >> index >> prefix >> scope >> flags >> name) {
    if (!digits.starts_with("fe80")) continue;
    std::string address;
    for (std::size_t at = 0; at < digits.size(); at += 4) {
      address += (at == 0 ? "" : ":") + digits.substr(at, 4);
    }
    return address + "%" + name;
  }
  return {};
}

TEST(LocalAddress, has_the_zone_of_a_link_local_address) {
  const std::string address = link_local_address();
  if (address.empty()) return;  // this machine has none
  const std::vector<Descriptor> sockets = bind_sockets("test", {address, 0}, Transport::tcp);
  const std::string host = local_address(sockets.front()).host;
  EXPECT_EQ(host.substr(host.find('%')), address.substr(address.find('%')));
}

}  // namespace
}  // namespace evpool
