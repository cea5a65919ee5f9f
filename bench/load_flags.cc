#include "bench/load_flags.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <vector>

#include "bench/numbers.h"
#include "client/command_line.h"
#include "protocol/duration.h"

namespace evpool::bench {
namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view expected) {
  throw std::invalid_argument(fmt::format("'{}': expected {}", text, expected));
}

// None: there is something else in it.
template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

template <typename Number>
Number parse_number(std::string_view text, std::string_view expected) {
  const auto number = number_in<Number>(text);
  if (!number) refuse(text, expected);
  return *number;
}

// Of this machine, whether this process may run on them or not.
CLI::Validator existing_cpu() {
  return {[](const std::string& text) {
            const long last = sysconf(_SC_NPROCESSORS_CONF) - 1;
            const auto cpu = number_in<long>(text);
            return cpu && *cpu >= 0 && *cpu <= last
                       ? std::string()
                       : fmt::format("'{}': this machine has the CPUs 0 to {}", text, last);
          },
          ""};
}

std::uint32_t parse_payload_bytes(std::string_view text) {
  return static_cast<std::uint32_t>(parse_bytes(text, kDefaultMaxPayloadBytes));
}

std::vector<std::string_view> split(std::string_view text, char separator, std::size_t most) {
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < most) {
    const std::size_t at = text.find(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + 1);
  }
  parts.push_back(text);
  return parts;
}

// Makes of what the user wrote what CLI11 itself reads.
CLI::Validator number_validator(const std::function<std::string(std::string_view)>& plain,
                                const std::string& description) {
  return {[plain](std::string& text) -> std::string {
            try {
              text = plain(text);
              return {};
            } catch (const std::invalid_argument& error) {
              return error.what();
            }
          },
          description};
}

template <typename Value>
Value choose(const std::string& name, const std::map<std::string, Value>& values) {
  return values.at(name);
}

}  // namespace

CLI::Validator possible_rate() {
  return number_validator([](std::string_view text) { return fmt::format("{}", parse_rate(text)); },
                          "");
}

CLI::Validator whole_number(std::uint64_t least, std::uint64_t most) {
  const bool bounded = most < UINT64_MAX;
  return number_validator(
      [least, most](std::string_view text) {
        return std::to_string(parse_count(text, least, most));
      },
      bounded ? fmt::format("in [{} - {}]", least, most) : "");
}

SizeDistribution parse_size(std::string_view text) {
  constexpr std::string_view kExpected =
      "BYTES, uniform:LEAST,MOST or lognormal:MEDIAN,SIGMA[,MOST]";
  const auto parts = split(text, ':', 2);
  SizeDistribution size;
  if (parts.size() == 1) {
    size.least = size.most = parse_payload_bytes(text);
    return size;
  }
  const auto numbers = split(parts[1], ',', 4);
  if (parts[0] == "uniform" && numbers.size() == 2) {
    size.kind = SizeDistribution::Kind::uniform;
    size.least = parse_payload_bytes(numbers[0]);
    size.most = parse_payload_bytes(numbers[1]);
    if (size.least > size.most) refuse(text, "the smaller size first");
    return size;
  }
  if (parts[0] != "lognormal" || numbers.size() < 2 || numbers.size() > 3) refuse(text, kExpected);
  size.kind = SizeDistribution::Kind::lognormal;
  size.median = parse_positive_bytes(numbers[0]);
  size.sigma = parse_number<double>(numbers[1], kExpected);
  size.least = 0;
  size.most = numbers.size() == 3 ? parse_payload_bytes(numbers[2]) : 1U << 20U;
  if (!(size.median > 0 && size.sigma > 0 && std::isfinite(size.median + size.sigma))) {
    refuse(text, "a median and a sigma above 0");
  }
  return size;
}

MixEntry parse_mix_entry(std::string_view text) {
  const auto parts = split(text, ':', 3);
  const auto job = split(parts[0], '=', 2);
  if (job[0].empty()) refuse(text, "JOB[=PAYLOAD]:WEIGHT[:SIZE]");
  MixEntry entry;
  entry.job = job[0];
  if (job.size() == 2) entry.payload = std::string(job[1]);
  if (parts.size() > 1) entry.weight = parse_positive(parts[1]);
  if (parts.size() > 2) entry.size = parse_size(parts[2]);
  return entry;
}

double parse_share(std::string_view text) {
  constexpr std::string_view kExpected = "a share: 1% or 0.01";
  const bool percent = text.ends_with('%');
  const std::string_view digits = text.substr(0, text.size() - (percent ? 1 : 0));
  const double share = parse_number<double>(digits, kExpected) / (percent ? 100 : 1);
  if (!(share >= 0 && share <= 1)) refuse(text, kExpected);
  return share;
}

double parse_load(std::string_view text) {
  const double load = parse_share(text);
  if (!(load > 0)) refuse(text, "a share above 0: 70% or 0.7");
  return load;
}

Impairment parse_impairment(std::string_view text) {
  Impairment impairment;
  for (const std::string_view part : split(text, ',', SIZE_MAX)) {
    const auto sides = split(part, '=', 2);
    double* const share = sides[0] == "drop"      ? &impairment.drop
                          : sides[0] == "dup"     ? &impairment.duplicate
                          : sides[0] == "reorder" ? &impairment.reorder
                                                  : nullptr;
    if (share == nullptr || sides.size() != 2) refuse(part, "drop=1%, dup=1% or reorder=1%");
    *share = parse_share(sides[1]);
  }
  return impairment;
}

LoadFlags::LoadFlags(CLI::App& command, LoadOptions& options)
    : command_(command), options_(options) {
  const auto duration = [&](const char* flag, std::chrono::milliseconds& value,
                            const char* description) {
    return add_parsed_option(
               command, flag, [&value](const std::string& text) { value = parse_duration(text); },
               description)
        ->type_name("DURATION")
        ->default_str(evpool::to_string(value));
  };
  add_parsed_option(
      command, "--server", [&](const std::string& text) { options.server = parse_address(text); },
      "Where the server is")
      ->type_name("HOST:PORT")
      ->default_str(evpool::to_string(options.server));
  command.add_option("--transport", transport_, "tcp or udp")
      ->check(CLI::IsMember({"tcp", "udp"}).description(""))
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--connections", options.connections, "TCP connections, or UDP sockets")
      ->transform(whole_number(1, 20'000))
      ->capture_default_str();
  in_flight_option_ =
      command
          .add_option("--in-flight", options.in_flight,
                      "Unanswered requests on each of them, at most; at a given rate 1024 if unset")
          ->transform(whole_number(1, 1'000'000))
          ->capture_default_str();
  command.add_option("--threads", options.threads, "Threads of the generator")
      ->transform(whole_number(1, 64))
      ->capture_default_str();
  auto* const job =
      command.add_option("--job", job_, "The job to send; echo and upper are verified")
          ->capture_default_str();
  auto* const size = add_parsed_option(
      command, "--size", [this](const std::string& text) { size_ = parse_size(text); },
      "Payload bytes: N, uniform:A,B or lognormal:MEDIAN,SIGMA");
  size->type_name("SIZE")->default_str("32");
  command
      .add_option("--mix", mix_,
                  "Several jobs instead, each JOB[=PAYLOAD]:WEIGHT[:SIZE], separated by spaces")
      ->excludes(job)
      ->excludes(size)
      ->type_name("ENTRY");
  command.add_option("--priority", priority_, "high, normal or low")
      ->check(CLI::IsMember({"high", "normal", "low"}).description(""))
      ->type_name("NAME")
      ->capture_default_str();
  duration("--warmup", options.warm_up, "What is due before its end is not measured");
  duration("--ramp", options.ramp, "Before the warm-up, from nothing to the whole load");
  duration("--timeout", options.timeout, "A reply later than this counts as lost");
  add_parsed_option(
      command, "--deadline",
      [&options](const std::string& text) { options.deadline = parse_duration(text); },
      "What the server is told to answer within; the timeout if unset")
      ->type_name("DURATION");
  command.add_flag("--verify,!--no-verify", options.verify, "Check what echo and upper reply");
  command
      .add_option("--reconnect-every", options.reconnect_every,
                  "Make a connection anew after so many requests; 0: never")
      ->transform(whole_number(0))
      ->capture_default_str();
  add_parsed_option(
      command, "--impair",
      [&options](const std::string& text) { options.impairment = parse_impairment(text); },
      "What to do to the own datagrams: drop=1%,dup=1%,reorder=1%")
      ->type_name("LIST");
  command.add_flag("--offload,!--no-offload", options.offload,
                   "UDP_SEGMENT and UDP_GRO, where the kernel has them");
  command.add_option("--pin", options.pin, "CPUs of the threads, in turn: 0,1")
      ->delimiter(',')
      ->check(existing_cpu())
      ->type_name("CPUS");
  command.add_option("--seed", options.seed, "Of arrivals, jobs and sizes")
      ->transform(whole_number(0))
      ->capture_default_str();
}

void LoadFlags::add_rate() {
  rate_option_ = command_
                     .add_option("--rate", rate_,
                                 "Open loop: so many requests a second, whatever the server does")
                     ->transform(possible_rate());
  command_.add_flag("--closed", closed_, "Closed loop (the default): each reply frees the next")
      ->excludes(rate_option_);
  command_.add_option("--arrivals", arrivals_, "poisson, constant or burst")
      ->check(CLI::IsMember({"poisson", "constant", "burst"}).description(""))
      ->needs(rate_option_)
      ->type_name("NAME")
      ->capture_default_str();
  burst_option_ = command_
                      .add_option("--burst", options_.burst_requests,
                                  "Requests in a burst, with --arrivals burst")
                      ->transform(whole_number(1, 1'000'000))
                      ->needs(rate_option_)
                      ->capture_default_str();
}

void LoadFlags::add_length() {
  duration_option_ =
      add_parsed_option(
          command_, "--duration",
          [this](const std::string& text) { options_.duration = parse_duration(text); },
          "How long to send, after the warm-up")
          ->type_name("DURATION")
          ->default_str(evpool::to_string(options_.duration));
  count_option_ = command_.add_option("--count", count_, "How many requests to measure instead")
                      ->transform(whole_number(1));
}

void LoadFlags::finish() {
  options_.transport =
      choose<Transport>(transport_, {{"tcp", Transport::tcp}, {"udp", Transport::udp}});
  options_.arrivals = choose<Arrivals>(arrivals_, {{"poisson", Arrivals::poisson},
                                                   {"constant", Arrivals::constant},
                                                   {"burst", Arrivals::burst}});
  if (burst_option_ != nullptr && burst_option_->count() > 0 &&
      options_.arrivals != Arrivals::burst) {
    throw CLI::ValidationError("--burst", "only --arrivals burst has bursts");
  }
  options_.priority = choose<Priority>(
      priority_, {{"high", Priority::high}, {"normal", Priority::normal}, {"low", Priority::low}});
  if (rate_option_ != nullptr && rate_option_->count() > 0) options_.rate = rate_;
  // A rate is the bound of an open loop; places in flight only keep a dead server from eating all
  // memory.
  constexpr std::size_t kInFlightAtARate = 1'024;
  if (options_.rate && in_flight_option_->count() == 0) options_.in_flight = kInFlightAtARate;
  if (count_option_ != nullptr && count_option_->count() > 0) {
    options_.count = count_;
    if (duration_option_->count() == 0) options_.duration = std::chrono::hours(24);
  }
  options_.mix.clear();
  for (const std::string& text : mix_) {
    try {
      options_.mix.push_back(parse_mix_entry(text));
    } catch (const std::invalid_argument& error) {
      throw CLI::ValidationError("--mix", error.what());
    }
  }
  if (options_.mix.empty())
    options_.mix = {{.job = job_, .weight = 1, .size = size_, .payload = {}}};
}

}  // namespace evpool::bench
