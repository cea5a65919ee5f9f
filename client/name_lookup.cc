#include "client/name_lookup.h"

#include <netdb.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "protocol/duration.h"

namespace evpool {
namespace {

struct Answer {
  int error = 0;  // as getaddrinfo's
  int system_error = 0;
  std::vector<SocketAddress> addresses;
};

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

Answer ask_resolver(const Address& server, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;  // one of them, or each address comes once for each
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  Answer answer;
  answer.error =
      getaddrinfo(server.host.c_str(), std::to_string(server.port).c_str(), &hints, &found);
  answer.system_error = errno;
  if (answer.error != 0) return answer;
  const std::unique_ptr<addrinfo, AddressListDeleter> list(found);
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    SocketAddress address;
    address.size = entry->ai_addrlen;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    const auto& known = answer.addresses;
    if (std::find(known.begin(), known.end(), address) == known.end()) {
      answer.addresses.push_back(address);
    }
  }
  return answer;
}

// Starts a thread that takes no signal: those belong to the program's own threads.
std::thread start_without_signals(std::packaged_task<Answer()> task) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  std::exception_ptr failure;
  std::thread thread;
  try {
    thread = std::thread(std::move(task));
  } catch (...) {
    failure = std::current_exception();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (failure) std::rethrow_exception(failure);
  return thread;
}

Answer ask_resolver_within(const Address& server, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::packaged_task<Answer()> task([server] { return ask_resolver(server, 0); });
  std::future<Answer> answer = task.get_future();
  try {
    start_without_signals(std::move(task)).detach();
  } catch (const std::system_error& error) {
    throw std::runtime_error("cannot start a thread that looks the name up: " +
                             error.code().message());
  }
  if (answer.wait_until(deadline) != std::future_status::ready) {
    throw std::runtime_error("looking the name up took longer than " + to_string(timeout));
  }
  return answer.get();
}

}  // namespace

bool operator==(const SocketAddress& one, const SocketAddress& other) {
  return one.size == other.size && std::memcmp(&one.storage, &other.storage, one.size) == 0;
}

std::vector<SocketAddress> look_up(const Address& server, std::chrono::milliseconds timeout) {
  Answer answer = ask_resolver(server, AI_NUMERICHOST);
  if (answer.error == EAI_NONAME) answer = ask_resolver_within(server, timeout);
  if (answer.error == EAI_SYSTEM) {
    throw std::runtime_error(std::generic_category().message(answer.system_error));
  }
  if (answer.error != 0) throw std::runtime_error(gai_strerror(answer.error));
  return std::move(answer.addresses);
}

}  // namespace evpool
