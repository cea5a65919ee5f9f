#include "server/builtin_jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace evpool {
namespace {

// An hour: longer is a mistake in the unit.
constexpr std::uint64_t kLongest_ms = 3'600'000;

std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t largest) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || number > largest) return std::nullopt;
  return number;
}

Reply echo(Request& request) { return Reply::ok(std::move(request.payload)); }

Reply upper(Request& request) {
  // Without branches, so that the compiler makes vectors of it.
  for (char& c : request.payload) {
    const bool lower = static_cast<unsigned char>(c - 'a') < 26;
    c = static_cast<char>(c ^ (lower ? 0x20 : 0));
  }
  return Reply::ok(std::move(request.payload));
}

Reply stopped_early(std::string_view job) {
  return {.status = Status::cancelled,
          .payload = fmt::format("{} was ended by the server's shutdown", job)};
}

Reply sleep(Request& request) {
  const auto duration_ms = parse_number(request.payload, kLongest_ms);
  if (!duration_ms) {
    return Reply::failed(
        fmt::format("sleep takes a whole number of milliseconds up to {}", kLongest_ms));
  }
  std::mutex mutex;
  std::condition_variable_any stop_requested;
  std::unique_lock lock(mutex);
  stop_requested.wait_for(lock, request.stop, std::chrono::milliseconds(*duration_ms),
                          [] { return false; });
  return request.stop.stop_requested() ? stopped_early("sleep") : Reply::ok({});
}

Reply spin(Request& request) {
  const auto duration_us = parse_number(request.payload, kLongest_ms * 1000);
  if (!duration_us) {
    return Reply::failed(
        fmt::format("spin takes a whole number of microseconds up to {}", kLongest_ms * 1000));
  }
  const auto end = Clock::now() + std::chrono::microseconds(*duration_us);
  while (Clock::now() < end) {
    if (request.stop.stop_requested()) return stopped_early("spin");
  }
  return Reply::ok({});
}

Reply fail(Request& request) { return Reply::failed(std::move(request.payload)); }

struct NamedCount {
  const char* name;
  std::uint64_t Statistics::*count;
};

constexpr std::array kCounts = {
    NamedCount{"received", &Statistics::received},
    NamedCount{"completed", &Statistics::completed},
    NamedCount{"failed", &Statistics::failed},
    NamedCount{"expired", &Statistics::expired},
    NamedCount{"cancelled", &Statistics::cancelled},
    NamedCount{"refused", &Statistics::refused},
    NamedCount{"undelivered", &Statistics::undelivered},
    NamedCount{"pings", &Statistics::pings},
    NamedCount{"datagrams_ignored", &Statistics::datagrams_ignored},
    NamedCount{"datagrams_dropped", &Statistics::datagrams_dropped},
    NamedCount{"connections_accepted", &Statistics::connections_accepted},
    NamedCount{"connections_refused", &Statistics::connections_refused},
    NamedCount{"connections_stalled", &Statistics::connections_stalled},
    NamedCount{"connections_evicted", &Statistics::connections_evicted},
    NamedCount{"connections_open", &Statistics::connections_open},
};
static_assert(sizeof(Statistics) == kCounts.size() * sizeof(std::uint64_t), "a count has no name");

std::string to_lines(const Statistics& statistics) {
  std::string lines;
  for (const auto& [name, count] : kCounts)
    lines += fmt::format("{} {}\n", name, statistics.*count);
  return lines;
}

}  // namespace

void add_builtin_jobs(Handlers& handlers) {
  handlers.add("echo", "the payload as it came", echo);
  handlers.add("upper", "the payload with a-z made A-Z", upper);
  handlers.add("sleep", "waits; payload: milliseconds", sleep);
  handlers.add("spin", "burns CPU; payload: microseconds", spin);
  handlers.add("fail", "fails; payload: the message to fail with", fail);
}

void add_statistics_job(Handlers& handlers, std::function<Statistics()> statistics) {
  handlers.add("stats", "what the server has counted",
               [statistics = std::move(statistics)](const Request&) {
                 return Reply::ok(to_lines(statistics()));
               });
}

void add_jobs_list(Handlers& handlers) {
  // The list must name `jobs` itself, so it is made once that has been added.
  const auto list = std::make_shared<std::string>();
  handlers.add("jobs", "the names and descriptions of all jobs",
               [list](const Request&) { return Reply::ok(*list); });
  *list = handlers.list();
}

}  // namespace evpool
