#include "console/version.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace evpool {
namespace {

TEST(Version, a_programs_name_and_three_numbers) {
  const std::string line = version_line("evpoold");
  ASSERT_TRUE(line.starts_with("evpoold ")) << line;
  const std::string numbers = line.substr(line.find(' ') + 1);
  EXPECT_EQ(numbers.find_first_not_of("0123456789."), std::string::npos) << line;
  EXPECT_EQ(std::count(numbers.begin(), numbers.end(), '.'), 2) << line;
}

}  // namespace
}  // namespace evpool
