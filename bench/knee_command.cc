#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bench/commands.h"
#include "bench/descriptor_limit.h"
#include "bench/exit_status.h"
#include "bench/load/knee_search.h"
#include "bench/load/slo.h"
#include "bench/load_flags.h"
#include "bench/load_session.h"
#include "bench/numbers.h"
#include "bench/report_form.h"
#include "bench/report_json.h"
#include "bench/report_text.h"
#include "bench/series.h"
#include "client/command_line.h"
#include "console/diagnostic.h"

namespace evpool::bench {
namespace {

struct KneeOptions {
  LoadOptions load;
  KneeSearch search;
  std::string slo = "p99<2ms,loss<0.01%";
  ReportForm form;
  bool quiet = false;
};

class KneeRun {
 public:
  explicit KneeRun(const KneeOptions& options)
      : options_(options), slo_(options.slo), session_(!options.quiet) {}

  // Where a closed loop ends up is near what the server can do at most, and so a good place to
  // begin.
  double capacity() {
    LoadOptions closed = options_.load;
    closed.rate.reset();
    closed.count.reset();
    closed.in_flight = 8;
    closed.duration = std::chrono::seconds(1);
    return session_.run(closed).jobs_per_second();
  }

  Trial try_rate(double rate) {
    const std::optional<LoadResult> result = run_at(rate);
    if (!result) return Trial::given_up;
    const auto [trial, why] = judge(*result);
    if (!options_.form.json) {
      // The verdict is the first thing on standard output.
      say(fmt::format("{:>12}/s  {}\n", number_text(rate), why));
    }
    return trial;
  }

  // None when it was interrupted, or broke off: then it says nothing of that rate.
  std::optional<LoadResult> run_at(double rate) {
    if (session_.interrupted() || !broke_off_.empty()) return std::nullopt;
    LoadOptions at_rate = options_.load;
    at_rate.rate = rate;
    at_rate.seed += ++runs_;  // other arrivals in each, or repeating a run would prove nothing
    try {
      LoadResult result = session_.run(at_rate);
      any_run_ = true;
      wrong_ |= result.account.wrong > 0;
      if (session_.interrupted()) return std::nullopt;
      return result;
    } catch (const std::exception& error) {
      if (!any_run_) throw;
      broke_off_ = fmt::format("at {}/s: {}", number_text(rate), error.what());
      return std::nullopt;
    }
  }

  [[nodiscard]] bool interrupted() const { return session_.interrupted(); }
  // Any reply, in any run.
  [[nodiscard]] bool wrong() const { return wrong_; }
  // Why there could be no more runs; empty when there could.
  [[nodiscard]] const std::string& broke_off() const { return broke_off_; }

 private:
  [[nodiscard]] std::pair<Trial, std::string> judge(const LoadResult& result) const {
    if (const auto wrong = describe_wrong(result)) return {Trial::fails, "no: WRONG: " + *wrong};
    if (result.generator_limited) {
      return {Trial::unmeasured, "not measured: " + join_reasons(result)};
    }
    if (!result.invalid.empty()) return {Trial::fails, "no: INVALID: " + join_reasons(result)};
    if (const auto broken = slo_.broken_by(result)) return {Trial::fails, "no: " + *broken};
    return {Trial::holds, "holds"};
  }

  const KneeOptions& options_;
  const Slo slo_;
  LoadSession session_;
  std::uint64_t runs_ = 0;  // at some rate
  bool any_run_ = false;
  bool wrong_ = false;
  std::string broke_off_;
};

constexpr double kShares[] = {0.1, 0.5, 0.9};

std::string latency_line(const LatencyHistogram& latency) {
  if (latency.count() == 0) return "nothing measured";
  std::string line = "us:";
  for (const double percent : {50.0, 90.0, 99.0, 99.9}) {
    line += fmt::format("  p{:g} {:.1f}", percent,
                        static_cast<double>(latency.percentile_ns(percent)) / 1000);
  }
  return line + fmt::format("  max {:.1f}", static_cast<double>(latency.max_ns()) / 1000);
}

std::string describe_bracket(const Knee& knee) {
  const std::string beyond = knee.beyond_is_unmeasured ? "could not be measured" : "did not hold";
  if (knee.rate > 0 && knee.rate_beyond > 0) {
    return fmt::format("{}/s held, {}/s {}", number_text(knee.rate), number_text(knee.rate_beyond),
                       beyond);
  }
  if (knee.rate > 0)
    return fmt::format("{}/s held, and nothing higher was tried", number_text(knee.rate));
  if (knee.rate_beyond > 0)
    return fmt::format("even {}/s {}", number_text(knee.rate_beyond), beyond);
  return "nothing is known yet";
}

std::string describe_knee(const KneeOptions& options, const Knee& knee,
                          const std::string& broke_off) {
  if (knee.confirmed) {
    const std::string confirmed = fmt::format(
        "{} jobs/s hold {}, confirmed by {} of {} runs at least", number_text(knee.rate),
        options.slo, options.search.repeats / 2 + 1, options.search.repeats);
    if (!knee.beyond_is_unmeasured) {
      return fmt::format("knee: {}; {} runs in all", confirmed, knee.trials);
    }
    return fmt::format(
        "knee: at least {}; the generator, not the server, is the limit: {}/s could not be "
        "measured (use more threads, or another machine); {} runs in all",
        confirmed, number_text(knee.rate_beyond), knee.trials);
  }
  if (knee.given_up) {
    return fmt::format("{}, no knee yet: {} ({} runs)",
                       broke_off.empty() ? "interrupted" : "broke off " + broke_off,
                       describe_bracket(knee), knee.trials);
  }
  if (knee.rate > 0 || knee.beyond_is_unmeasured) {
    return fmt::format("no knee: {} ({} runs)", describe_bracket(knee), knee.trials);
  }
  return fmt::format("no knee: no rate was found that holds {} ({} runs)", options.slo,
                     knee.trials);
}

void print_text(const std::string& found, const std::vector<LoadResult>& results) {
  fmt::print("{}\n", found);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const LoadResult& result = results[i];
    fmt::print("at {:.0f} % of it, {}/s: {}{}\n", kShares[i] * 100,
               number_text(result.options.rate.value_or(0)), latency_line(result.latency),
               result.invalid.empty() ? "" : "  INVALID: " + join_reasons(result));
  }
}

int search(KneeOptions options) {
  require_descriptors(options.load.connections, options.load.threads);
  KneeRun run(options);
  if (options.search.first_rate <= 0) options.search.first_rate = run.capacity() / 2;
  if (!(options.search.first_rate > 0) && !run.interrupted()) {
    throw std::runtime_error("no reply was ok, so there is no rate to begin with");
  }
  const Knee knee = find_knee(options.search, [&run](double rate) { return run.try_rate(rate); });
  std::vector<LoadResult> results;
  for (const double share : kShares) {
    std::optional<LoadResult> result;
    if (knee.confirmed) result = run.run_at(knee.rate * share);
    if (!result) break;
    results.push_back(std::move(*result));
  }
  const Provenance provenance = collect_provenance(own_arguments(), options.load.seed);
  if (options.form.json) {
    nlohmann::ordered_json at = nlohmann::ordered_json::array();
    for (const LoadResult& result : results) at.push_back(result_to_json(result, provenance));
    nlohmann::ordered_json beyond = nullptr;
    if (knee.rate_beyond > 0) beyond = knee.rate_beyond;
    const nlohmann::ordered_json object = {{"schema", "evpool-bench-knee/1"},
                                           {"slo", options.slo},
                                           {"confirmed", knee.confirmed},
                                           {"jobs_per_second", knee.rate},
                                           {"jobs_per_second_beyond", beyond},
                                           {"generator_limited", knee.beyond_is_unmeasured},
                                           {"interrupted", run.interrupted()},
                                           {"broke_off", null_if_empty(run.broke_off())},
                                           {"runs", knee.trials},
                                           {"shares", kShares},
                                           {"results", at},
                                           {"provenance", provenance_to_json(provenance)}};
    fmt::print("{}\n", object.dump(2));
  } else {
    const std::string found = describe_knee(options, knee, run.broke_off());
    print_text(found, results);
    print_closing(options.form, provenance, found);
  }
  if (!run.broke_off().empty()) {
    complain("evpool-bench", fmt::format("the knee's runs broke off {}", run.broke_off()));
  }
  if (run.wrong()) return kWrongReplies;
  const bool whole = !run.interrupted() && run.broke_off().empty();
  return knee.confirmed && !knee.beyond_is_unmeasured && whole ? kOk : kInvalid;
}

}  // namespace

void add_knee_command(CLI::App& app, std::function<int()>& chosen) {
  CLI::App& command = *app.add_subcommand(
      "knee", "The highest rate that holds a service level, and the latency below it");
  command.set_help_flag("-h,--help", "Print this help and exit");
  const auto options = std::make_shared<KneeOptions>();
  options->load.duration = std::chrono::seconds(2);
  options->search.first_rate = 0;
  const auto flags = std::make_shared<LoadFlags>(command, options->load);
  flags->add_length();
  command.add_option("--slo", options->slo, "Bounds: pNN<TIME, max<TIME, mean<TIME, loss<SHARE")
      ->type_name("BOUNDS")
      ->capture_default_str();
  command
      .add_option("--from", options->search.first_rate,
                  "The rate to begin with; half of what a closed loop reaches if unset")
      ->transform(possible_rate());
  add_parsed_option(
      command, "--precision",
      [options](const std::string& text) {
        options->search.precision = parse_share(text);
        if (options->search.precision < 0.001) throw std::invalid_argument("at least 0.1%");
      },
      "How close to come")
      ->type_name("SHARE")
      ->default_str("5%");
  command
      .add_option("--repeats", options->search.repeats,
                  "Runs at the rate found, most of which must hold")
      ->transform(whole_number(1, 101))
      ->capture_default_str();
  add_report_flags(command, options->form);
  command.add_flag("--quiet", options->quiet, "No live display");
  command.callback([options, flags, &chosen] {
    options->load.rate = 1;  // for the flags' defaults: it is an open loop
    flags->finish();
    chosen = [options] { return search(*options); };
  });
}

}  // namespace evpool::bench
