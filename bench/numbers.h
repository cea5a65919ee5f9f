// How evpool-bench reads numbers on its command line and shows them. Thread-safe.
//
// A count or a rate takes a suffix: k or K for thousands, M for millions, G for thousands of
// millions. A size in bytes takes the same letters in powers of 1,024: 64K is 65,536 bytes. Ki, Mi
// and Gi are powers of 1,024 in both.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace evpool::bench {

// All of these throw std::invalid_argument with a sentence that names what was expected.

// "5000", "20k", "1.5M"; a whole number from `least` to `most`, without a sign.
[[nodiscard]] std::uint64_t parse_count(
    std::string_view text, std::uint64_t least = 0,
    std::uint64_t most = std::numeric_limits<std::uint64_t>::max());
// "32", "64K", "1.5Mi"; a whole number of bytes up to `most`.
[[nodiscard]] std::uint64_t parse_bytes(std::string_view text, std::uint64_t most);
// Requests a second, "0.5", "20k", "1e6"; above 0 and up to kMostRate.
[[nodiscard]] double parse_rate(std::string_view text);
// Any number above 0: "99", "0.5", "5k". Of bytes: "200.5", "4K".
[[nodiscard]] double parse_positive(std::string_view text);
[[nodiscard]] double parse_positive_bytes(std::string_view text);

// "1,234,567"
[[nodiscard]] std::string grouped(std::uint64_t number);
// For people: "79,621", "930.7", "0.5". Whole from 1,000 on, four significant digits below.
[[nodiscard]] std::string number_text(double number);

}  // namespace evpool::bench
