// One thread of the load generator, with its share of the connections and of the rate: when it
// sends a request on which connection, and what came of each. Everything here belongs to that
// thread; what it counts goes to a Collector.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/load/account.h"
#include "bench/load/arrivals.h"
#include "bench/load/collector.h"
#include "bench/load/dialect.h"
#include "bench/load/latency_histogram.h"
#include "bench/load/load_options.h"
#include "bench/load/request_table.h"
#include "bench/load/ring.h"
#include "bench/load/socket_set.h"
#include "bench/load/workload.h"

namespace evpool::bench {

// What the threads of a run have in common. Constant while they run, but for the atomics.
struct LoadRun {
  const LoadOptions& options;
  const Dialect& dialect;
  const Workload& workload;
  Collector& collector;
  const std::atomic<int>& stop_requests;  // 1: stop sending; 2: stop waiting, too
  std::atomic<bool> failed{false};        // a thread has thrown: the others end at once
  std::chrono::steady_clock::time_point begin{};
};

// What a thread found that is no part of an interval.
struct ThreadResult {
  Account account;
  LatencyHistogram service;
  std::size_t intervals = 0;  // delivered
  std::uint64_t held_back = 0;
  std::uint64_t answered = 0;  // of the warm-up, too
  double seconds = 0;          // these four as in LoadResult, since the end of the warm-up
  double sending_s = 0;
  double silent_s = 0;
  double ended_s = 0;      // of all that was counted
  double cpu_seconds = 0;  // since the end of the warm-up, as the next two
  std::uint64_t send_calls = 0;
  std::uint64_t receive_calls = 0;
  bool offload_used = false;
  std::string connect_failure;  // these two as in LoadResult
  std::string broke_off;
};

class LoadThread final : private SocketSet::Receiver {
 public:
  LoadThread(LoadRun& run, std::size_t thread);
  LoadThread(const LoadThread&) = delete;
  LoadThread& operator=(const LoadThread&) = delete;

  // Before the run begins. Throws ConnectError or std::runtime_error.
  void connect();
  // From run.begin to the end. What fails meanwhile, because the server speaks nonsense, say, ends
  // the whole run, and the result says so.
  ThreadResult work();

 private:
  using Clock = std::chrono::steady_clock;

  using Request = RequestTable::Request;
  using Fate = RequestTable::Fate;

  // By the number of its socket.
  struct Connection {
    Ring<std::uint64_t> order;  // the unanswered, where replies have no ids
    std::size_t in_flight = 0;
    std::uint64_t requests = 0;  // since it was connected
    bool waits_in_line = false;  // is in available_
  };

  void open(std::uint32_t index);
  void reopen(std::uint32_t index);
  bool connect_again(std::uint32_t index, Clock::time_point since);
  void retry_connecting();
  void give_up_requests_of_closed();
  void count_unresolved(const Request& request);
  [[nodiscard]] std::uint64_t room_of(std::uint32_t index) const;
  void use_room(std::uint32_t index);
  void offer(std::uint32_t index);

  void send_due();
  void skip_the_rest();
  void fill(std::uint32_t index);
  std::size_t send(std::uint32_t index, Clock::time_point due, std::uint64_t most);
  void count_sent(Clock::time_point due, std::uint64_t requests);
  void flush();

  void poll(Clock::time_point until);
  void take_replies(std::uint32_t index, Clock::time_point received,
                    std::span<const IncomingReply> replies) override;
  void after_receive(std::uint32_t index) override;
  static std::uint64_t number_of(Connection& connection, const IncomingReply& reply);
  void free_places(std::uint32_t index, std::size_t places);
  void take_stray(std::uint64_t number);
  void expire();

  void send_and_receive();
  void break_off(const std::exception& error);
  void begin_own_cost();
  void end_intervals();
  [[nodiscard]] bool is_sending() const { return now_ < send_until_; }
  // Something was due before the end of sending, and is yet to be sent.
  [[nodiscard]] bool is_behind() const { return arrivals_ && next_due_ < send_until_; }
  [[nodiscard]] Clock::time_point next_event();
  void obey_stop_requests();
  void listen_on();
  void settle(Clock::time_point ended);
  [[nodiscard]] bool is_over_and_empty(Clock::time_point sending_ended) const;

  [[nodiscard]] bool is_measured(const Request& request) const {
    return request.due >= warm_until_;
  }
  [[nodiscard]] bool is_udp() const { return options_.transport == Transport::udp; }

  LoadRun& run_;
  const LoadOptions& options_;
  const std::size_t thread_;
  const bool has_ids_;
  const std::uint32_t timeout_ms_;  // told to the server

  Random random_;
  ThreadResult result_;
  SocketSet sockets_;
  std::vector<Connection> connections_;
  Ring<std::uint32_t> available_;  // connections with a place in flight, in turn
  // Connections that could not be made anew, and are yet to be.
  struct Retry {
    std::uint32_t connection = 0;
    Clock::time_point since;  // the first time
    Clock::time_point at;
  };
  std::vector<Retry> retries_;
  std::uint32_t started_ = 0;  // connections that a closed loop's ramp has begun with

  RequestTable requests_;

  std::optional<ArrivalSchedule> arrivals_;
  Clock::time_point next_due_;
  Clock::time_point no_place_until_;  // what was due before it waited for a place in flight
  bool no_place_ = false;
  // How many that were due before the end of sending may still be sent after it. Otherwise a rate
  // beyond what the generator can send would never end.
  std::uint64_t late_left_;
  std::uint64_t measured_left_;  // of options.count

  Clock::time_point now_;
  Clock::time_point ramp_until_;
  Clock::time_point warm_until_;
  Clock::time_point send_until_;
  Clock::time_point interval_until_;
  std::size_t interval_index_ = 0;
  std::unique_ptr<IntervalPart> part_ = std::make_unique<IntervalPart>();

  // Enough that calls are shared by many, few enough to stay in the first cache.
  std::array<OutgoingRequest, 64> outgoing_;

  // Where the generator's own cost began to count; none: the warm-up has not ended.
  std::optional<double> cpu_before_s_;
  SocketSet::Counts calls_before_;

  Clock::time_point last_reply_;  // of the measured, as the next
  std::uint64_t given_up_since_reply_ = 0;
};

}  // namespace evpool::bench
