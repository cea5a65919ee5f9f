// What the generator does on a kernel without epoll_pwait2 (before Linux 5.11), and in a sandbox
// that forbids it.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <chrono>

#include "bench/load/socket_set.h"
#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/load_testing.h"

namespace {

std::atomic<int> failure{0};  // an errno; 0: there is none
std::atomic<int> failed_calls{0};

}  // namespace

// Stands before the C library's.
extern "C" int epoll_pwait2(int epoll, epoll_event* events, int most, const timespec* timeout,
                            const sigset_t* signals) {
  static const auto real =
      reinterpret_cast<decltype(&epoll_pwait2)>(dlsym(RTLD_NEXT, "epoll_pwait2"));
  if (const int error = failure.load(); error != 0) {
    ++failed_calls;
    errno = error;
    return -1;
  }
  return real(epoll, events, most, timeout, signals);
}

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

class OldKernel : public testing::TestWithParam<int> {
 protected:
  OldKernel() {
    failed_calls.store(0);
    failure.store(GetParam());
  }
  ~OldKernel() override { failure.store(0); }
};

TEST_P(OldKernel, loads_a_server_as_any_other_does) {
  for (const bool udp : {false, true}) {
    for (const std::optional<double> rate :
         {std::optional<double>{}, std::optional<double>{1'000}}) {
      AnsweringServer server(udp, honest);
      LoadOptions options = all_measured(server.address(), udp ? Transport::udp : Transport::tcp);
      options.rate = rate;
      options.duration = kNeverLate;
      options.count = 50;
      failed_calls.store(0);
      const LoadResult result = run_load(options);
      expect_balance(result);
      EXPECT_EQ(result.account.ok, 50U);
      EXPECT_EQ(failed_calls.load(), 1) << "it is asked once";
    }
  }
}

// Not a millisecond more or less, as epoll_wait alone would have it: it waits no time at all for
// less than one.
TEST_P(OldKernel, does_not_wait_for_less_than_it_is_told_to) {
  LoadOptions options;
  Random random = random_for(1, 0);
  Account account;
  const auto dialect = make_frame_dialect();
  SocketSet sockets(options, *dialect, 1, random, account);
  for (int i = 0; i < 3; ++i) {
    const auto begun = SocketSet::Clock::now();
    sockets.wait(300us);
    EXPECT_GE(SocketSet::Clock::now() - begun, 300us);
  }
}

INSTANTIATE_TEST_SUITE_P(Of, OldKernel, testing::Values(ENOSYS, EPERM),
                         [](const testing::TestParamInfo<int>& error) {
                           return error.param == ENOSYS ? "no_such_call" : "forbidden";
                         });

}  // namespace
}  // namespace evpool::bench
