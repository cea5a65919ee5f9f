// What the tests of the load generator have in common.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "bench/load/dialect.h"
#include "bench/load/generator.h"
#include "bench/load/load_options.h"
#include "bench/load/load_result.h"
#include "tests/unit/bench/answering_server.h"

namespace evpool::bench {

// Longer than any reply takes: nothing is lost by being late. No run waits for it.
inline constexpr std::chrono::milliseconds kNeverLate{60'000};

inline std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

inline Answer honest(const Frame& request) { return {.payload = upper(request.payload)}; }
inline Answer mute(const Frame& /*request*/) { return {.action = Answer::Action::drop}; }

// Gives every tenth request, from the tenth on, another answer.
class EveryTenth {
 public:
  explicit EveryTenth(Answer other) : other_(std::move(other)) {}

  Answer operator()(const Frame& request) {
    if (++*requests_ % 10 != 0) return honest(request);
    return other_;
  }

 private:
  Answer other_;
  std::shared_ptr<std::uint64_t> requests_ = std::make_shared<std::uint64_t>(0);
};

// Without a warm-up everything sent is measured, so that the server's count is the generator's.
inline LoadOptions all_measured(const Address& server, Transport transport) {
  LoadOptions options;
  options.server = server;
  options.transport = transport;
  options.warm_up = std::chrono::milliseconds(0);
  options.duration = std::chrono::milliseconds(50);
  options.timeout = kNeverLate;
  return options;
}

// The ways to make load, for tests of all of them.
struct Way {
  Transport transport;
  bool open_loop;
};
inline const auto kEveryWay =
    testing::Values(Way{Transport::tcp, false}, Way{Transport::udp, false},
                    Way{Transport::tcp, true}, Way{Transport::udp, true});
inline std::string name_of_way(const testing::TestParamInfo<Way>& way) {
  return std::string(way.param.transport == Transport::udp ? "udp" : "tcp") +
         (way.param.open_loop ? "_open" : "_closed");
}

inline LoadResult run_load(const LoadOptions& options, RunControl& control) {
  return run_load(options, *make_frame_dialect(), control);
}

inline LoadResult run_load(const LoadOptions& options) {
  RunControl control;
  return run_load(options, control);
}

// What holds for every run.
inline void expect_balance(const LoadResult& result) {
  const Account& account = result.account;
  EXPECT_TRUE(account.balances());
  EXPECT_EQ(account.scheduled, account.sent + account.skipped);
  EXPECT_EQ(account.sent,
            account.ok + account.all_refused() + account.wrong + account.lost + account.unresolved);
  EXPECT_EQ(account.refused[0], 0U);
  EXPECT_EQ(result.latency.count(), account.ok);
  EXPECT_EQ(result.service.count(), account.ok);
  EXPECT_EQ(result.lag.count() + result.held_back, result.options.rate ? account.sent : 0);
  EXPECT_GE(result.latency.max_ns(), result.service.max_ns());
  IntervalRow all;
  for (const IntervalRow& row : result.series) {
    all.sent += row.sent;
    all.ok += row.ok;
    all.refused += row.refused;
    all.wrong += row.wrong;
    all.lost += row.lost;
    all.max_ns = std::max(all.max_ns, row.max_ns);
  }
  EXPECT_EQ(all.sent, account.sent);
  EXPECT_EQ(all.ok, account.ok);
  EXPECT_EQ(all.refused, account.all_refused());
  EXPECT_EQ(all.wrong, account.wrong);
  EXPECT_EQ(all.lost, account.lost);
  EXPECT_EQ(all.max_ns, result.latency.max_ns());
}

// And nothing came that has no place in it.
inline void expect_no_strays(const Account& account) {
  EXPECT_EQ(account.duplicates, 0U);
  EXPECT_EQ(account.late, 0U);
  EXPECT_EQ(account.unknown, 0U);
  EXPECT_EQ(account.malformed, 0U);
  EXPECT_EQ(account.kernel_drops, 0U);
  EXPECT_EQ(account.connections_lost, 0U);
}

// Whether one of the reasons against the run contains this.
inline bool is_invalid_for(const LoadResult& result, const std::string& reason) {
  for (const std::string& given : result.invalid) {
    if (given.find(reason) != std::string::npos) return true;
  }
  return false;
}

}  // namespace evpool::bench
