// A result for people, in lines. All functions are thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bench/load/load_result.h"
#include "bench/load/provenance.h"

namespace evpool::bench {

// The verdicts first, then the rate, the latencies, where every request went, and what the
// generator itself cost. Ends with a line end.
[[nodiscard]] std::string report_text(const LoadResult& result);

// The line to take away: "INVALID: 79,621 jobs/s, p50 81.2 us, p99 310 us, max 3,012 us".
[[nodiscard]] std::string essential_line(const LoadResult& result);

// Under a heading, as a list in Markdown.
[[nodiscard]] std::string provenance_text(const Provenance& provenance);

// The pieces that the other reports share.

// "tcp to 127.0.0.1:6666, closed loop, 50 x 16 in flight, 32 bytes of upper"
[[nodiscard]] std::string describe_load(const LoadOptions& options);
// "closed loop, 50 x 16 in flight"
[[nodiscard]] std::string describe_model(const LoadOptions& options);
// The reasons in one line, separated by "; ".
[[nodiscard]] std::string join_reasons(const LoadResult& result);
// "3 of 100 replies were not what the job must give (...)"; none when all were, as far as that is
// known.
[[nodiscard]] std::optional<std::string> describe_wrong(const LoadResult& result);
// The generator's own cost of a request that it sent; none when it sent none.
[[nodiscard]] std::optional<double> cpu_us_per_job(const LoadResult& result);
[[nodiscard]] std::optional<double> calls_per_job(const LoadResult& result);
// What the server's kernel had no room for; none when the server did not say.
[[nodiscard]] std::optional<std::uint64_t> drops_at_server(const LoadResult& result);

// With segmentation offload the kernel counts a packet that it drops once, whatever it holds:
// ", of up to 64 datagrams each" then, otherwise nothing.
[[nodiscard]] std::string what_a_drop_is(const LoadResult& result);
// Of the lost datagrams those that nobody has told of: not dropped by a kernel or on purpose, and
// not late. "7", or "0 to 190" where drops were of packets.
[[nodiscard]] std::string lost_without_address(const LoadResult& result);

[[nodiscard]] std::string_view transport_name(Transport transport);
[[nodiscard]] std::string_view arrivals_name(Arrivals arrivals);

}  // namespace evpool::bench
