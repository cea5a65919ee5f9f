// What a run of the load generator is asked to do.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/address.h"
#include "protocol/constants.h"

namespace evpool::bench {

enum class Transport : std::uint8_t { tcp, udp };

// When requests are due, in a run at a given rate.
enum class Arrivals : std::uint8_t {
  poisson,   // as from many independent users: exponential times between
  constant,  // evenly spaced
  burst,     // burst_requests at once, the bursts evenly spaced
};

// Payload bytes.
struct SizeDistribution {
  enum class Kind : std::uint8_t { fixed, uniform, lognormal };
  Kind kind = Kind::fixed;
  std::uint32_t least = 32;  // fixed: the size; uniform: from, inclusive
  std::uint32_t most = 32;   // uniform: to, inclusive; lognormal: cut off here
  double median = 32;        // lognormal
  double sigma = 1;          // lognormal: of the logarithm
};

// A kind of request: which job, how often beside the others, how large.
struct MixEntry {
  std::string job = "upper";
  double weight = 1;
  SizeDistribution size;
  // Always this; none: letters, another window of the alphabet for each request, `size` of them.
  std::optional<std::string> payload;
};

// What the generator does to its own datagrams before it sends them, each with its probability.
struct Impairment {
  double drop = 0;
  double duplicate = 0;
  double reorder = 0;  // held back until the next one of its socket has been sent

  [[nodiscard]] bool any() const { return drop > 0 || duplicate > 0 || reorder > 0; }
};

// Times are whole nanoseconds: more arrivals could not be told apart, nor counted exactly.
inline constexpr double kMostRate = 1e9;

struct LoadOptions {
  Address server{"127.0.0.1", 6666};
  Transport transport = Transport::tcp;
  std::size_t connections = 1;  // TCP connections, or UDP sockets; over all threads
  std::size_t in_flight = 1;    // at most, on each connection
  std::size_t threads = 1;

  // Requests a second over all threads: an open loop. None: a closed loop, in which each connection
  // always has in_flight requests outstanding.
  std::optional<double> rate;
  Arrivals arrivals = Arrivals::poisson;
  std::uint32_t burst_requests = 10;

  std::chrono::milliseconds warm_up{200};  // what was due before its end is not measured
  std::chrono::milliseconds duration{3'000};
  std::optional<std::uint64_t> count;  // measured requests, at most; the run may end earlier
  std::chrono::milliseconds ramp{0};   // before the warm-up: from nothing to the whole rate

  std::vector<MixEntry> mix{MixEntry{}};
  Priority priority = Priority::normal;
  std::chrono::milliseconds timeout{1'000};           // a later reply counts as lost
  std::optional<std::chrono::milliseconds> deadline;  // told to the server; none: timeout
  bool verify = true;                                 // contents of `echo` and `upper`
  std::uint64_t reconnect_every = 0;                  // requests of a connection; 0: never
  Impairment impairment;                              // UDP only
  bool offload = true;                                // UDP_SEGMENT, UDP_GRO where there are any
  std::vector<int> pin;                               // CPUs of the threads, in turn
  std::uint64_t seed = 1;
  std::chrono::milliseconds interval{1'000};  // of the time series
};

}  // namespace evpool::bench
