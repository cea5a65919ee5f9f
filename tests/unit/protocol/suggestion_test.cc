#include "protocol/suggestion.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace evpool {
namespace {

const std::array<std::string, 6> kJobs = {"echo", "fail", "jobs", "sleep", "spin", "upper"};

TEST(Suggestion, names_a_close_one) {
  EXPECT_EQ(suggest("uper", kJobs), " (did you mean 'upper'?)");     // one left out
  EXPECT_EQ(suggest("uppper", kJobs), " (did you mean 'upper'?)");   // one too many
  EXPECT_EQ(suggest("ubper", kJobs), " (did you mean 'upper'?)");    // one for another
  EXPECT_EQ(suggest("upperxx", kJobs), " (did you mean 'upper'?)");  // two at the end
  EXPECT_EQ(suggest("xecho", kJobs), " (did you mean 'echo'?)");     // one at the beginning
}

TEST(Suggestion, is_empty_when_none_is_close) {
  EXPECT_EQ(suggest("compress", kJobs), "");
  EXPECT_EQ(suggest("zzzz", kJobs), "");
}

TEST(Suggestion, is_empty_when_nothing_is_known) {
  EXPECT_EQ(suggest("upper", {}), "");
  EXPECT_EQ(suggest("", {}), "");
}

TEST(Suggestion, is_empty_for_an_empty_name) { EXPECT_EQ(suggest("", kJobs), ""); }

TEST(Suggestion, lets_a_third_of_the_name_be_wrong) {
  const std::vector<std::string> known = {"abcdef"};
  EXPECT_EQ(suggest("abcdxx", known), " (did you mean 'abcdef'?)");
  EXPECT_EQ(suggest("abcxxx", known), "");
  const std::vector<std::string> three = {"abc"};
  EXPECT_EQ(suggest("abx", three), " (did you mean 'abc'?)");
  EXPECT_EQ(suggest("axx", three), "");
  EXPECT_EQ(suggest("ab", three), "");  // too short for any to be wrong
}

TEST(Suggestion, takes_case_as_a_difference) {
  EXPECT_EQ(suggest("UPPER", kJobs), "");
  EXPECT_EQ(suggest("Upper", kJobs), " (did you mean 'upper'?)");
}

TEST(Suggestion, names_the_closest) {
  const std::vector<std::string> known = {"abcdxx", "abcdex", "abcxxx"};
  EXPECT_EQ(suggest("abcdef", known), " (did you mean 'abcdex'?)");
}

TEST(Suggestion, names_the_first_of_those_equally_close) {
  const std::vector<std::string> known = {"spam", "span"};
  EXPECT_EQ(suggest("spat", known), " (did you mean 'spam'?)");
}

TEST(Suggestion, compares_names_up_to_32_bytes) {
  const std::vector<std::string> longest = {std::string(32, 'n')};
  const std::string expected = " (did you mean '" + longest.front() + "'?)";
  EXPECT_EQ(suggest(std::string(32, 'n'), longest), expected);
  EXPECT_EQ(suggest(std::string(31, 'n'), longest), expected);
  EXPECT_EQ(suggest(std::string(33, 'n'), longest), "");
}

TEST(Suggestion, passes_over_known_names_longer_than_32_bytes) {
  const std::vector<std::string> known = {std::string(33, 'n'), std::string(1000, 'n')};
  EXPECT_EQ(suggest(std::string(32, 'n'), known), "");
  const std::vector<std::string> with_another = {std::string(33, 'n'), std::string(30, 'n')};
  EXPECT_EQ(suggest(std::string(32, 'n'), with_another),
            " (did you mean '" + with_another.back() + "'?)");
}

}  // namespace
}  // namespace evpool
