#include "bench/load_flags.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace evpool::bench {
namespace {

LoadOptions parse(std::vector<std::string> arguments) {
  LoadOptions options;
  CLI::App app;
  LoadFlags flags(app, options);
  flags.add_rate();
  flags.add_length();
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  app.parse(arguments);
  flags.finish();
  return options;
}

TEST(LoadFlags, nothing_is_a_closed_loop_of_one) {
  const LoadOptions options = parse({});
  EXPECT_FALSE(options.rate);
  EXPECT_EQ(options.in_flight, 1U);
  ASSERT_EQ(options.mix.size(), 1U);
  EXPECT_EQ(options.mix[0].job, "upper");
  EXPECT_EQ(options.mix[0].size.least, 32U);
  EXPECT_TRUE(options.verify && options.offload);
}

TEST(LoadFlags, a_rate_is_an_open_loop_with_room_in_flight) {
  EXPECT_EQ(parse({"--rate", "2.5"}).rate, 2.5);
  EXPECT_EQ(parse({"--rate", "5"}).in_flight, 1'024U);
  EXPECT_EQ(parse({"--rate", "5", "--in-flight", "3"}).in_flight, 3U);
  EXPECT_EQ(parse({"--rate", "5", "--arrivals", "burst", "--burst", "7"}).burst_requests, 7U);
  EXPECT_THROW(parse({"--rate", "0"}), CLI::ValidationError);
  EXPECT_THROW(parse({"--rate", "inf"}), CLI::ValidationError);
  EXPECT_THROW(parse({"--rate", "5", "--closed"}), CLI::ParseError);
  EXPECT_THROW(parse({"--arrivals", "constant"}), CLI::ParseError)
      << "without a rate it says nothing";
}

TEST(LoadFlags, a_count_alone_ends_by_counting) {
  const LoadOptions counted = parse({"--count", "10"});
  EXPECT_EQ(counted.count, 10U);
  EXPECT_GE(counted.duration, std::chrono::hours(1));
  EXPECT_EQ(parse({"--count", "10", "--duration", "1s"}).duration, std::chrono::seconds(1));
}

TEST(LoadFlags, job_and_size_or_a_mix) {
  const LoadOptions one = parse({"--job", "echo", "--size", "uniform:1,9"});
  EXPECT_EQ(one.mix.at(0).job, "echo");
  EXPECT_EQ(one.mix.at(0).size.most, 9U);
  const LoadOptions mixed = parse({"--mix", "upper:99:64", "spin=5000:1"});
  ASSERT_EQ(mixed.mix.size(), 2U);
  EXPECT_EQ(mixed.mix[0].weight, 99);
  EXPECT_EQ(mixed.mix[1].payload, "5000");
  EXPECT_THROW(parse({"--mix", "upper:none"}), CLI::ValidationError);
}

TEST(LoadFlags, what_would_be_ignored_is_refused) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--mix", "upper:1", "--job", "echo"},
        {"--mix", "upper:1", "--size", "5"},
        {"--rate", "5", "--burst", "7"},
        {"--rate", "5", "--arrivals", "constant", "--burst", "7"}}) {
    EXPECT_THROW(static_cast<void>(parse(arguments)), CLI::ParseError)
        << testing::PrintToString(arguments);
  }
  EXPECT_EQ(parse({"--rate", "5", "--arrivals", "burst"}).burst_requests, 10U);
}

TEST(LoadFlags, numbers_without_a_sign_have_none_and_end) {
  for (const char* flag : {"--seed", "--reconnect-every", "--count"}) {
    for (const char* wrong : {"-1", "18446744073709551616", "1.5", "1e3", "+1", ""}) {
      EXPECT_THROW(static_cast<void>(parse({std::string(flag) + '=' + wrong})), CLI::ParseError)
          << flag << ' ' << wrong;
    }
  }
  EXPECT_THROW(parse({"--count", "0"}), CLI::ValidationError);
  EXPECT_EQ(parse({"--seed", "18446744073709551615"}).seed, UINT64_MAX);
  EXPECT_EQ(parse({"--reconnect-every", "0"}).reconnect_every, 0U);
}

TEST(LoadFlags, numbers_take_suffixes) {
  EXPECT_EQ(parse({"--rate", "20k"}).rate, 20'000);
  EXPECT_EQ(parse({"--rate", "1.5M"}).rate, 1.5e6);
  EXPECT_EQ(parse({"--connections", "10k"}).connections, 10'000U);
  EXPECT_EQ(parse({"--in-flight", "2K"}).in_flight, 2'000U);
  EXPECT_EQ(parse({"--count", "1M"}).count, 1'000'000U);
  EXPECT_EQ(parse({"--reconnect-every", "5k"}).reconnect_every, 5'000U);
  EXPECT_EQ(parse({"--rate", "5", "--arrivals", "burst", "--burst", "1k"}).burst_requests, 1'000U);
  EXPECT_EQ(parse({"--size", "64K"}).mix.at(0).size.least, 65'536U);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--connections", "21k"},
        {"--connections", "0"},
        {"--connections=-1"},
        {"--in-flight", "2M"},
        {"--threads", "1k"},
        {"--count", "20000000000000000000k"},
        {"--count", "0.5"},
        {"--rate", "20kk"}}) {
    EXPECT_THROW(static_cast<void>(parse(arguments)), CLI::ValidationError)
        << testing::PrintToString(arguments);
  }
}

TEST(LoadFlags, rates_have_an_end) {
  EXPECT_EQ(parse({"--rate", "1e9"}).rate, 1e9);
  EXPECT_THROW(parse({"--rate", "1e12"}), CLI::ValidationError);
  EXPECT_THROW(parse({"--rate", "-5"}), CLI::ValidationError);
}

TEST(LoadFlags, threads_are_pinned_to_cpus_that_there_are) {
  EXPECT_EQ(parse({"--pin", "0"}).pin, std::vector<int>{0});
  const std::string last = std::to_string(sysconf(_SC_NPROCESSORS_CONF) - 1);
  for (const char* wrong : {"-1", "99999", "0,99999", "x"}) {
    try {
      parse({std::string("--pin=") + wrong});
      ADD_FAILURE() << wrong;
    } catch (const CLI::ValidationError& error) {
      EXPECT_NE(std::string(error.what()).find("CPUs 0 to " + last), std::string::npos)
          << error.what();
    }
  }
}

TEST(LoadFlags, sizes) {
  EXPECT_EQ(parse_size("0").most, 0U);
  EXPECT_EQ(parse_size("67108864").least, 67'108'864U);
  EXPECT_EQ(parse_size("64K").least, 65'536U);
  EXPECT_EQ(parse_size("1k").least, 1'024U);
  EXPECT_EQ(parse_size("uniform:1K,1M").most, 1U << 20U);
  EXPECT_EQ(parse_size("lognormal:4K,1.5,1M").median, 4'096);
  EXPECT_EQ(parse_size("lognormal:0.5,1.5").median, 0.5);
  const SizeDistribution size = parse_size("lognormal:200,1.5,4096");
  EXPECT_EQ(size.kind, SizeDistribution::Kind::lognormal);
  EXPECT_EQ(size.median, 200);
  EXPECT_EQ(size.sigma, 1.5);
  EXPECT_EQ(size.most, 4'096U);
  for (const char* text :
       {"", "-1", "67108865", "1kB", "65M", "lognormal:1,1k", "uniform:", "uniform:9,1",
        "uniform:1,2,3", "lognormal:0,1", "lognormal:1", "lognormal:nan,1", "normal:1,2"}) {
    EXPECT_THROW(static_cast<void>(parse_size(text)), std::invalid_argument) << text;
  }
}

TEST(LoadFlags, mix_entries) {
  const MixEntry entry = parse_mix_entry("upper=a=b:2.5:lognormal:10,1");
  EXPECT_EQ(entry.job, "upper");
  EXPECT_EQ(entry.payload, "a=b");
  EXPECT_EQ(entry.weight, 2.5);
  EXPECT_EQ(entry.size.median, 10);
  EXPECT_EQ(parse_mix_entry("echo").weight, 1);
  for (const char* text : {"", ":1", "echo:0", "echo:-1", "echo:", "echo:inf", "echo:1:x"}) {
    EXPECT_THROW(static_cast<void>(parse_mix_entry(text)), std::invalid_argument) << text;
  }
}

TEST(LoadFlags, impairments) {
  const Impairment impairment = parse_impairment("drop=1%,dup=0.5,reorder=100%");
  EXPECT_DOUBLE_EQ(impairment.drop, 0.01);
  EXPECT_DOUBLE_EQ(impairment.duplicate, 0.5);
  EXPECT_DOUBLE_EQ(impairment.reorder, 1);
  for (const char* text : {"", "drop", "drop=", "drop=101%", "drop=-1%", "loose=1%", "drop=1%,"}) {
    EXPECT_THROW(static_cast<void>(parse_impairment(text)), std::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace evpool::bench
