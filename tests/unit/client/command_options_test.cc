// evpool's command line: data is not options.
#include "client/command_options.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace evpool {
namespace {

struct Parsed {
  std::optional<Exit> exit;
  CommandOptions options;
  std::string errors;
};

Parsed parse(std::vector<std::string> words) {
  words.insert(words.begin(), "evpool");
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  Parsed parsed;
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  parsed.exit = parse_command_line(static_cast<int>(argv.size()), argv.data(), parsed.options);
  testing::internal::GetCapturedStdout();
  parsed.errors = testing::internal::GetCapturedStderr();
  return parsed;
}

void expect_call(const std::vector<std::string>& words, const std::string& job,
                 const std::optional<std::string>& payload) {
  const Parsed parsed = parse(words);
  SCOPED_TRACE(testing::PrintToString(words));
  EXPECT_FALSE(parsed.exit.has_value()) << parsed.errors;
  EXPECT_EQ(parsed.options.command, CommandOptions::Command::call);
  EXPECT_EQ(parsed.options.job, job);
  EXPECT_EQ(parsed.options.payload, payload);
}

const std::vector<std::string> kOddPayloads = {"",
                                               "++",
                                               "call",
                                               "map",
                                               "jobs",
                                               "ping",
                                               "help",
                                               "DATA",
                                               "x",
                                               "a,b",
                                               "[x]",
                                               "[]",
                                               "[a,b]",
                                               "{}",
                                               "{a}",
                                               "%%",
                                               "a=b",
                                               "=",
                                               "a\nb",
                                               "\n",
                                               "\"",
                                               "'a'",
                                               "`a`",
                                               "/hello",
                                               "/h",
                                               "\\",
                                               "a b",
                                               " ",
                                               "#",
                                               ";",
                                               "\x1b[2J",
                                               "\xff\xfe",
                                               "default",
                                               "true",
                                               "false",
                                               "$HOME",
                                               "--x y",
                                               "[[a]]",
                                               "a\r\n",
                                               "[section]",
                                               "key = \"value\"",
                                               "\xc2\x9b",
                                               "@file",
                                               "~"};

TEST(CommandOptions, a_payload_arrives_as_it_is) {
  for (const std::string& payload : kOddPayloads) {
    if (!payload.starts_with('-')) expect_call({"call", "echo", payload}, "echo", payload);
    expect_call({"call", "echo", "--", payload}, "echo", payload);
    expect_call({"call", "--", "echo", payload}, "echo", payload);
    expect_call({"call", "echo", "--json", "--", payload}, "echo", payload);
  }
}

TEST(CommandOptions, after_the_separator_a_payload_may_look_like_an_option) {
  for (const char* const payload : {"-h", "-hello", "--help", "--json", "--", "-", "-5", "-1.5e3",
                                    "--server", "--server=x", "---", "--version", "-x=y"}) {
    expect_call({"call", "echo", "--", payload}, "echo", payload);
    expect_call({"call", "--", payload, payload}, payload, payload);
  }
}

TEST(CommandOptions, any_bytes_are_a_payload_and_a_job) {
  std::mt19937 random(12);
  const std::string likely = "-+=[]{},\"'%#;: \n\\/hxj";
  for (int i = 0; i < 2'000; ++i) {
    std::string word(random() % 8, '\0');
    for (char& c : word) {
      c = random() % 2 == 0 ? likely[random() % likely.size()]
                            : static_cast<char>(1 + random() % 255);
    }
    expect_call({"call", "echo", "--", word}, "echo", word);
    if (!word.starts_with('-')) expect_call({"call", "echo", word}, "echo", word);
    if (!word.empty()) expect_call({"call", "--", word, word}, word, word);
  }
}

TEST(CommandOptions, a_payload_that_looks_like_an_option_is_wrong_usage) {
  EXPECT_EQ(parse({"call", "echo", "-hello"}).errors,
            "evpool: '-hello' looks like an option; to send it as the payload, put -- before it: "
            "evpool call echo -- -hello\nTry 'evpool --help'.\n");
  for (const char* const payload : {"-5", "-hello", "-x", "--no-such-option", "---", "-j", "-help",
                                    "--hello=world", "-\n", "-h=1"}) {
    const Parsed parsed = parse({"call", "echo", payload});
    EXPECT_EQ(parsed.exit, Exit::usage) << payload;
    EXPECT_NE(parsed.errors.find("put -- before it"), std::string::npos) << parsed.errors;
  }
}

TEST(CommandOptions, a_job_that_looks_like_an_option_is_wrong_usage) {
  for (const char* const command : {"call", "map"}) {
    const Parsed parsed = parse({command, "-job"});
    EXPECT_EQ(parsed.exit, Exit::usage);
    EXPECT_EQ(parsed.errors, std::string("evpool: '-job' looks like an option; to send it as the "
                                         "job's name, put -- before it: evpool ") +
                                 command + " -- -job\nTry 'evpool --help'.\n");
  }
  EXPECT_EQ(parse({"map", "--", "-job"}).options.job, "-job");
}

TEST(CommandOptions, a_misspelt_option_gets_a_suggestion) {
  const Parsed after = parse({"call", "echo", "--tiemout", "3s"});
  EXPECT_EQ(after.exit, Exit::usage);
  EXPECT_NE(after.errors.find("did you mean '--timeout'?"), std::string::npos) << after.errors;
  const Parsed full = parse({"call", "echo", "x", "--tiemout", "3s"});
  EXPECT_EQ(full.exit, Exit::usage);
}

TEST(CommandOptions, options_stand_anywhere_before_the_separator) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"--timeout", "3s", "--json", "call", "echo", "x"},
           {"call", "--timeout", "3s", "echo", "--json", "x"},
           {"call", "echo", "x", "--json", "--timeout=3s"},
           {"--timeout", "3s", "call", "--json", "--", "echo", "x"}}) {
    const Parsed parsed = parse(words);
    EXPECT_FALSE(parsed.exit.has_value()) << parsed.errors;
    EXPECT_TRUE(parsed.options.json);
    EXPECT_EQ(parsed.options.timeout, std::chrono::seconds(3));
    EXPECT_EQ(parsed.options.job, "echo");
    EXPECT_EQ(parsed.options.payload, "x");
  }
}

TEST(CommandOptions, a_dash_before_the_separator_is_standard_input) {
  expect_call({"call", "echo", "-"}, "echo", std::nullopt);
  expect_call({"call", "echo"}, "echo", std::nullopt);
  expect_call({"call", "echo", ""}, "echo", "");
}

TEST(CommandOptions, words_too_many_are_wrong_usage) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"call", "echo", "a", "b"},
                                             {"map", "echo", "a"},
                                             {"jobs", "x"},
                                             {"ping", "x"},
                                             {"jobs", "--", "-x"},
                                             {"ping", "call"}}) {
    const Parsed parsed = parse(words);
    EXPECT_EQ(parsed.exit, Exit::usage) << testing::PrintToString(words);
    EXPECT_NE(parsed.errors.find("has no use for"), std::string::npos) << parsed.errors;
  }
}

TEST(CommandOptions, a_name_that_no_frame_carries_is_wrong_usage) {
  for (const std::string& name : {std::string(), std::string(256, 'n')}) {
    EXPECT_EQ(parse({"call", name, "x"}).exit, Exit::usage);
    EXPECT_EQ(parse({"map", name}).exit, Exit::usage);
  }
}

TEST(CommandOptions, a_timeout_of_nothing_is_refused) {
  for (const char* const timeout : {"0s", "0ms", "0h"}) {
    const Parsed parsed = parse({"--timeout", timeout, "ping"});
    EXPECT_EQ(parsed.exit, Exit::usage);
    EXPECT_NE(parsed.errors.find("leaves no time for a reply"), std::string::npos);
  }
  EXPECT_FALSE(parse({"--timeout", "1ms", "ping"}).exit.has_value());
}

TEST(CommandOptions, counts_are_checked) {
  for (const char* const count :
       {"0", "-1", "8193", "x", "", "1.5", "99999999999999999999", "1 "}) {
    EXPECT_EQ(parse({"map", "echo", "--in-flight", count}).exit, Exit::usage) << count;
  }
  EXPECT_EQ(parse({"map", "echo", "--in-flight", "8192"}).options.in_flight, 8'192U);
  EXPECT_EQ(parse({"map", "echo"}).options.in_flight, 0U);
  for (const char* const bytes : {"0", "-1", "4294967296", "1k"}) {
    EXPECT_EQ(parse({"ping", "--max-payload", bytes}).exit, Exit::usage) << bytes;
  }
  EXPECT_EQ(parse({"ping", "--max-payload", "4294967295"}).options.max_payload, 4'294'967'295U);
}

}  // namespace
}  // namespace evpool
