#include "client/outcome.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace evpool {
namespace {

std::string json_of(const std::string& payload) {
  return to_json(describe({.state = CallState::replied, .status = Status::ok, .payload = payload}));
}

TEST(Outcome, json_holds_the_payload_and_no_character_that_a_terminal_obeys) {
  const std::string payload =
      "a\x1b[2J\x7f\xc2\x9b\xc2\x85\xe2\x80\xae\xe2\x80\xa8\xe2\x81\xa6\xd8\x9c\r\n\t\"\\ \xc3\xa4";
  const std::string json = json_of(payload);
  EXPECT_EQ(nlohmann::json::parse(json)["payload"], payload);
  EXPECT_NE(json.find("\\u009b"), std::string::npos) << json;
  EXPECT_NE(json.find("\\u007f"), std::string::npos) << json;
  EXPECT_NE(json.find("\\u202e"), std::string::npos) << json;
  EXPECT_NE(json.find("\xc3\xa4"), std::string::npos) << "letters stay letters";
  for (const char* const raw :
       {"\x1b", "\x7f", "\xc2\x9b", "\xe2\x80\xae", "\xe2\x80\xa8", "\xd8\x9c", "\n"}) {
    EXPECT_EQ(json.find(raw), std::string::npos) << json;
  }
}

TEST(Outcome, json_of_bytes_that_are_not_utf8_is_hexadecimal) {
  EXPECT_EQ(json_of("\xff\x9b"), "{\"status\":\"ok\",\"payload_hex\":\"ff9b\"}");
}

TEST(Outcome, the_list_of_jobs_is_an_array) {
  EXPECT_EQ(jobs_to_json("echo   the payload\nupper  letters; \"A\"\n"),
            "[{\"name\":\"echo\",\"description\":\"the payload\"},"
            "{\"name\":\"upper\",\"description\":\"letters; \\\"A\\\"\"}]");
  EXPECT_EQ(jobs_to_json(""), "[]");
}

TEST(Outcome, an_odd_list_of_jobs_is_still_an_array) {
  EXPECT_EQ(jobs_to_json("bare\n\n  \none description"),
            "[{\"name\":\"bare\",\"description\":\"\"},"
            "{\"name\":\"one\",\"description\":\"description\"}]");
  EXPECT_TRUE(nlohmann::json::accept(jobs_to_json("\xff\xfe  \x9b\x1b[2J")));
}

}  // namespace
}  // namespace evpool
