#include "bench/output_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace evpool::bench {
namespace {

class OutputFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = testing::TempDir() + "evpool_output_XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] std::string content(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name)).rdbuf();
    return text.str();
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(OutputFileTest, refuses_at_once_what_cannot_be_written) {
  for (const std::string& wrong : {path("missing/a"), path("")}) {
    try {
      const OutputFile file(wrong);
      ADD_FAILURE() << wrong;
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(std::string(error.what()).substr(0, 13 + wrong.size()), "cannot write " + wrong);
    }
  }
}

TEST_F(OutputFileTest, no_path_is_no_file) {
  OutputFile none("");
  EXPECT_EQ(none.write("text"), "");
}

TEST_F(OutputFileTest, what_was_there_stays_until_it_is_written) {
  std::ofstream(path("a")) << "a long text of yesterday";
  { const OutputFile file(path("a")); }
  EXPECT_EQ(content("a"), "a long text of yesterday");
  {
    OutputFile file(path("a"));
    EXPECT_EQ(content("a"), "a long text of yesterday");
    EXPECT_EQ(file.write("of today"), "");
    EXPECT_EQ(content("a"), "of today");
  }
  EXPECT_EQ(content("a"), "of today");
}

TEST_F(OutputFileTest, a_new_file_that_is_not_written_is_removed) {
  {
    const OutputFile file(path("a"));
    EXPECT_TRUE(std::filesystem::exists(path("a"))) << "only so it is known that it can be";
  }
  EXPECT_FALSE(std::filesystem::exists(path("a")));
}

TEST_F(OutputFileTest, one_that_fails_does_not_take_the_others_with_it) {
  OutputFile first("/dev/full");
  OutputFile second(path("b"));
  OutputFile third("/dev/full");
  EXPECT_EQ(write_all({{first, "1"}, {second, "2"}, {third, "3"}}),
            "cannot write /dev/full: No space left on device; "
            "cannot write /dev/full: No space left on device");
  EXPECT_EQ(content("b"), "2");
}

}  // namespace
}  // namespace evpool::bench
