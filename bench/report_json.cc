#include "bench/report_json.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "bench/report_text.h"
#include "protocol/address.h"

namespace evpool::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kPercentiles = {50.0, 90.0, 99.0, 99.9, 99.99};

double microseconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1000; }

// The library itself knows how to replace what is not UTF-8, but only while it writes.
Json text_to_json(std::string_view text) {
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace));
}

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string_view kind_name(SizeDistribution::Kind kind) {
  switch (kind) {
    case SizeDistribution::Kind::fixed:
      return "fixed";
    case SizeDistribution::Kind::uniform:
      return "uniform";
    case SizeDistribution::Kind::lognormal:
      return "lognormal";
  }
  return "";
}

std::string_view priority_name(Priority priority) {
  switch (priority) {
    case Priority::normal:
      return "normal";
    case Priority::high:
      return "high";
    case Priority::low:
      return "low";
  }
  return "";
}

// Only the fields that its kind reads.
Json size_to_json(const SizeDistribution& size) {
  Json object = {{"kind", kind_name(size.kind)}};
  switch (size.kind) {
    case SizeDistribution::Kind::fixed:
      object["bytes"] = size.least;
      break;
    case SizeDistribution::Kind::uniform:
      object["least_bytes"] = size.least;
      object["most_bytes"] = size.most;
      break;
    case SizeDistribution::Kind::lognormal:
      object["median_bytes"] = size.median;
      object["sigma"] = size.sigma;
      object["most_bytes"] = size.most;
      break;
  }
  return object;
}

Json options_to_json(const LoadOptions& options) {
  Json mix = Json::array();
  for (const MixEntry& entry : options.mix) {
    mix.push_back({{"job", text_to_json(entry.job)},
                   {"weight", entry.weight},
                   {"size", size_to_json(entry.size)},
                   {"payload", entry.payload ? text_to_json(*entry.payload) : Json(nullptr)}});
  }
  const Impairment& impairment = options.impairment;
  return {
      {"server", text_to_json(to_string(options.server))},
      {"transport", transport_name(options.transport)},
      {"connections", options.connections},
      {"in_flight", options.in_flight},
      {"threads", options.threads},
      {"model", options.rate ? "open loop" : "closed loop"},
      {"rate", or_null(options.rate)},
      {"arrivals", arrivals_name(options.arrivals)},
      {"burst_requests", options.burst_requests},
      {"warm_up_ms", options.warm_up.count()},
      {"duration_ms", options.duration.count()},
      {"count", or_null(options.count)},
      {"ramp_ms", options.ramp.count()},
      {"mix", mix},
      {"priority", priority_name(options.priority)},
      {"timeout_ms", options.timeout.count()},
      {"deadline_ms", options.deadline ? Json(options.deadline->count()) : Json(nullptr)},
      {"verify", options.verify},
      {"reconnect_every", options.reconnect_every},
      {"impairment",
       {{"drop", impairment.drop},
        {"duplicate", impairment.duplicate},
        {"reorder", impairment.reorder}}},
      {"offload", options.offload},
      {"pin", options.pin},
      {"seed", options.seed},
      {"interval_ms", options.interval.count()},
  };
}

Json latencies_to_json(const LatencyHistogram& histogram) {
  const bool any = histogram.count() > 0;
  Json object;
  for (const double percent : kPercentiles) {
    object[fmt::format("p{:g}", percent)] =
        any ? Json(microseconds(histogram.percentile_ns(percent))) : Json(nullptr);
  }
  object["max"] = any ? Json(microseconds(histogram.max_ns())) : Json(nullptr);
  object["mean"] = any ? Json(histogram.mean_ns() / 1000) : Json(nullptr);
  object["count"] = histogram.count();
  return object;
}

Json account_to_json(const Account& account) {
  Json refused = Json::object();
  // From 1: ok is no refusal.
  for (std::uint8_t i = 1; i < kStatusCount; ++i) {
    refused[std::string(name_of(static_cast<Status>(i)))] = account.refused[i];
  }
  return {
      {"scheduled", account.scheduled},
      {"skipped", account.skipped},
      {"sent", account.sent},
      {"ok", account.ok},
      {"refused", refused},
      {"wrong", account.wrong},
      {"lost", account.lost},
      {"unresolved", account.unresolved},
      {"balances", account.balances()},
      {"duplicates", account.duplicates},
      {"late", account.late},
      {"unknown", account.unknown},
      {"malformed", account.malformed},
      {"kernel_drops", account.kernel_drops},
      {"impaired_drops", account.impaired_drops},
      {"impaired_duplicates", account.impaired_duplicates},
      {"impaired_reorders", account.impaired_reorders},
      {"reconnects", account.reconnects},
      {"failed_connects", account.failed_connects},
      {"connections_lost", account.connections_lost},
  };
}

Json row_to_json(const IntervalRow& row) {
  const auto latency = [&](std::uint64_t nanoseconds) {
    return row.ok > 0 ? Json(microseconds(nanoseconds)) : Json(nullptr);
  };
  return {
      {"begin_s", row.begin_s},
      {"length_s", row.length_s},
      {"sent", row.sent},
      {"ok", row.ok},
      {"refused", row.refused},
      {"wrong", row.wrong},
      {"lost", row.lost},
      {"in_flight", row.in_flight},
      {"p50_us", latency(row.p50_ns)},
      {"p99_us", latency(row.p99_ns)},
      {"max_us", latency(row.max_ns)},
      {"lag_max_us", microseconds(row.lag_max_ns)},
  };
}

}  // namespace

Json provenance_to_json(const Provenance& provenance) {
  Json facts = Json::object();
  for (const auto& [name, value] : provenance.facts) facts[name] = text_to_json(value);
  return facts;
}

Json result_to_json(const LoadResult& result, const Provenance& provenance) {
  Json reasons = Json::array();
  for (const std::string& reason : result.invalid) reasons.push_back(text_to_json(reason));
  Json server = Json::object();
  for (const auto& [name, count] : result.server) server[name] = count;
  Json series = Json::array();
  for (const IntervalRow& row : result.series) series.push_back(row_to_json(row));
  return {
      {"schema", kResultSchema},
      {"command", "run"},
      {"valid", result.invalid.empty()},
      {"invalid", reasons},
      {"interrupted", result.interrupted},
      {"options", options_to_json(result.options)},
      {"provenance", provenance_to_json(provenance)},
      {"seconds", result.seconds},
      {"jobs_per_second", result.jobs_per_second()},
      {"latency_us", latencies_to_json(result.latency)},
      {"service_us", latencies_to_json(result.service)},
      {"lag_us", latencies_to_json(result.lag)},
      {"held_back", result.held_back},
      {"account", account_to_json(result.account)},
      {"generator",
       {{"cpu_seconds", result.cpu_seconds},
        {"cpu_us_per_job", or_null(cpu_us_per_job(result))},
        {"send_calls", result.send_calls},
        {"receive_calls", result.receive_calls},
        {"calls_per_job", or_null(calls_per_job(result))},
        {"offload_used", result.offload_used}}},
      {"server", server},
      {"series", series},
  };
}

}  // namespace evpool::bench
