// Host names of the test's own, in place of the resolver: the test program is linked with
// --wrap=getaddrinfo.
#pragma once

#include <netdb.h>

#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "protocol/address.h"

// NOLINTNEXTLINE(bugprone-reserved-identifier): the linker's name
extern "C" int __real_getaddrinfo(const char* host, const char* port, const addrinfo* hints,
                                  addrinfo** found);

namespace evpool {

class FakeNames {
 public:
  // From now on the name has these addresses, which are in digits; each with a port of its own.
  static void add(const std::string& name, std::vector<Address> addresses) {
    const std::lock_guard lock(instance().mutex_);
    instance().names_[name] = {.addresses = std::move(addresses), .answer_after = {}};
  }

  // From now on looking the name up takes until `release` is fulfilled, and finds nothing.
  static void add_slow(const std::string& name, std::shared_future<void> release) {
    const std::lock_guard lock(instance().mutex_);
    instance().names_[name] = {.addresses = {}, .answer_after = std::move(release)};
  }

  static int look_up(const char* host, const char* port, const addrinfo* hints, addrinfo** found) {
    const bool digits_only = hints != nullptr && (hints->ai_flags & AI_NUMERICHOST) != 0;
    const Entry* const entry = digits_only ? nullptr : instance().find(host);
    if (entry == nullptr) return __real_getaddrinfo(host, port, hints, found);
    if (entry->answer_after.valid()) entry->answer_after.wait();
    *found = nullptr;
    addrinfo** next = found;
    for (const Address& address : entry->addresses) {
      const int error = __real_getaddrinfo(address.host.c_str(),
                                           std::to_string(address.port).c_str(), hints, next);
      if (error != 0) return error;
      next = &(*next)->ai_next;
    }
    return *found == nullptr ? EAI_NONAME : 0;
  }

 private:
  struct Entry {
    std::vector<Address> addresses;
    std::shared_future<void> answer_after;
  };

  static FakeNames& instance() {
    // Never destroyed: a look-up that was given up may use it until the process ends.
    static auto* const names = new FakeNames;
    return *names;
  }

  // An entry stays where it is.
  const Entry* find(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto entry = names_.find(name);
    return entry == names_.end() ? nullptr : &entry->second;
  }

  std::mutex mutex_;
  std::map<std::string, Entry> names_;
};

}  // namespace evpool
