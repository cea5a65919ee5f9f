// When a session asks the server for its statistics, and when it must not.
#include "bench/load_session.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "tests/unit/bench/answering_server.h"
#include "tests/unit/bench/load_testing.h"

namespace evpool::bench {
namespace {

using namespace std::chrono_literals;

class Session : public testing::Test {
 protected:
  // With each request but those for statistics, of which there are questions_ so far.
  template <typename OnRequest>
  AnsweringServer::Handler counting(OnRequest on_request) {
    return [this, on_request](const Frame& request) mutable {
      if (request.name != "stats") {
        on_request();
        return honest(request);
      }
      ++questions_;
      longest_wait_ms_ = std::max(longest_wait_ms_.load(), request.header.timeout_ms);
      return Answer{.payload = "received 10\n"};
    };
  }
  static void interrupt() { ASSERT_EQ(::raise(SIGINT), 0); }

  LoadOptions options_for(const AnsweringServer& server) {
    LoadOptions options = all_measured(server.address(), Transport::tcp);
    options.count = 50;
    options.duration = kNeverLate;
    return options;
  }

  LoadSession session_{false};
  std::atomic<int> questions_{0};
  std::atomic<std::uint32_t> longest_wait_ms_{0};
};

TEST_F(Session, asks_before_and_after_a_run_and_waits_a_second_at_most) {
  AnsweringServer server(false, counting([] {}));
  const LoadResult result = session_.run(options_for(server));
  EXPECT_EQ(result.account.ok, 50U);
  EXPECT_EQ(questions_.load(), 2);
  EXPECT_LE(longest_wait_ms_.load(), 1'000U) << "the run itself waits a minute for its replies";
}

TEST_F(Session, asks_after_a_run_that_was_interrupted_once) {
  AnsweringServer server(false, counting([requests = 0]() mutable {
                           if (++requests == 10) interrupt();
                         }));
  const LoadResult result = session_.run(options_for(server));
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(questions_.load(), 2);
}

TEST_F(Session, does_not_ask_when_it_is_to_report_at_once) {
  AnsweringServer server(false, counting([requests = 0]() mutable {
                           if (++requests != 10) return;
                           interrupt();
                           interrupt();
                         }));
  const LoadResult result = session_.run(options_for(server));
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(questions_.load(), 1) << "before the run";
}

TEST_F(Session, does_not_ask_before_a_run_that_was_interrupted_already) {
  AnsweringServer server(false, counting([] {}));
  interrupt();
  const LoadResult result = session_.run(options_for(server));
  EXPECT_TRUE(result.interrupted);
  EXPECT_LE(questions_.load(), 1) << "after it";
}

}  // namespace
}  // namespace evpool::bench
